"""Request and reply by zenoh or aiocoap: `others.py KIND answer|ask PORT SIZE [N]`.

Run by the Python of build/bench/venv; imports nothing of this project.
"""

import asyncio
import json
import sys
import time

WARM = 100


def say(times):
    v = sorted(times[WARM:])
    print(json.dumps({"p50": v[len(v) // 2] / 1000, "p99": v[len(v) * 99 // 100] / 1000}))


def zenoh_session(listen, connect):
    import zenoh

    conf = zenoh.Config()
    conf.insert_json5("mode", '"peer"')
    conf.insert_json5("scouting/multicast/enabled", "false")
    conf.insert_json5("scouting/gossip/enabled", "false")
    conf.insert_json5("listen/endpoints", json.dumps(listen))
    conf.insert_json5("connect/endpoints", json.dumps(connect))
    return zenoh.open(conf)


def zenoh_answer(port, size):
    session = zenoh_session(["tcp/127.0.0.1:%d" % port], [])
    reply = bytes(size)
    keep = session.declare_queryable("l4/ep/**", lambda q: q.reply(q.key_expr, reply))
    print("ready", flush=True)
    while keep:
        time.sleep(1)


def zenoh_ask(port, size, n):
    session = zenoh_session([], ["tcp/127.0.0.1:%d" % port])
    time.sleep(0.5)
    question = bytes(size)
    times = []
    for i in range(n + WARM):
        t = time.perf_counter_ns()
        for r in session.get("l4/ep/node%03d" % (i % 256), payload=question):
            r.ok.payload.to_bytes()
        times.append(time.perf_counter_ns() - t)
    say(times)
    session.close()


async def coap_answer(port, size):
    import aiocoap
    from aiocoap import resource

    reply = bytes(size)

    class Answer(resource.Resource):
        async def render_get(self, request):
            return aiocoap.Message(payload=reply)

    root = resource.Site()
    root.add_resource(["rd-lookup", "ep"], Answer())
    await aiocoap.Context.create_server_context(root, bind=("127.0.0.1", port))
    print("ready", flush=True)
    await asyncio.Event().wait()


async def coap_ask(port, size, n):
    import aiocoap

    context = await aiocoap.Context.create_client_context()
    times = []
    for i in range(n + WARM):
        uri = "coap://127.0.0.1:%d/rd-lookup/ep?ep=node%03d" % (port, i % 256)
        t = time.perf_counter_ns()
        await context.request(aiocoap.Message(code=aiocoap.GET, uri=uri)).response
        times.append(time.perf_counter_ns() - t)
    say(times)
    await context.shutdown()


def main(kind, role, port, size, n=0):
    args = (int(port), int(size)) + ((int(n),) if role == "ask" else ())
    if kind == "zenoh":
        (zenoh_answer if role == "answer" else zenoh_ask)(*args)
    else:
        import logging

        logging.disable(logging.CRITICAL)
        asyncio.run((coap_answer if role == "answer" else coap_ask)(*args))


main(*sys.argv[1:])
