// Weighs the matrix by the shares in the table: percent of pairs that become direct.
function weigh() {
  const shares = {};
  document.querySelectorAll("input[data-p]").forEach((i) => {
    (shares[i.dataset.p] ??= {})[i.dataset.k] = Number(i.value) || 0;
  });
  let out = "<tr><th></th>" + Object.keys(shares).map((p) => "<th>" + p + "</th>").join("") + "</tr>";
  for (const [method, cells] of Object.entries(DATA.cells)) {
    if (!cells.length) continue;
    const rate = {};
    for (const c of cells) rate[c.a + " " + c.b] = rate[c.b + " " + c.a] = c.direct / c.n;
    out += "<tr><td>" + (method == "nodes" ? "ours, assisted by nodes" : method) + "</td>";
    for (const p of Object.values(shares)) {
      let sum = 0, all = 0;
      for (const a in p) for (const b in p) {
        all += p[a] * p[b];
        sum += p[a] * p[b] * (rate[a + " " + b] ?? 0);
      }
      out += "<td class=n>" + (all ? (100 * sum / all).toFixed(1) : "-") + " %</td>";
    }
    out += "</tr>";
  }
  document.getElementById("weighed").innerHTML = out;
}
document.addEventListener("input", weigh);
weigh();
