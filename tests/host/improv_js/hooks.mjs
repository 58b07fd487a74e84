// The SDK is built for bundlers: ES modules without `"type": "module"`, imports without ".js".
import { readFile } from "node:fs/promises";

const inSdk = (url) => url?.includes("/improv-wifi-serial-sdk/");

export async function resolve(specifier, context, next) {
  const bare = specifier.startsWith(".") && !specifier.endsWith(".js");
  return next(inSdk(context.parentURL) && bare ? specifier + ".js" : specifier, context);
}

export async function load(url, context, next) {
  if (!inSdk(url)) return next(url, context);
  return { format: "module", shortCircuit: true, source: await readFile(new URL(url)) };
}
