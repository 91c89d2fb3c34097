"use strict";
(() => {
  const data = JSON.parse(document.getElementById("session-data").textContent);
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  // Plotly reads a number as local time and a text without zone as it stands: this keeps UTC.
  const utc = (ms) => new Date(ms).toISOString().slice(0, -1);
  const times = (points) => points.map((point) => utc(point[0]));
  const values = (points) => points.map((point) => point[1]);
  // Plotly takes some tags in its texts: names that users chose must not become markup.
  const plainText = (text) =>
    text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const currency = plainText(data.currency);

  // Buttons are listed one by one: the library's default set has one that uploads the chart.
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: matchMedia("(max-width: 640px)").matches ? false : "hover",
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
    plotlyServerURL: "",
    showSendToCloud: false,
  };

  const tint = (color, alpha) => {
    const [r, g, b] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  };

  const axis = (extra) => ({
    gridcolor: css("--faint"),
    linecolor: css("--line"),
    zeroline: false,
    tickfont: { size: 11.5, color: css("--soft") },
    automargin: true,
    ...extra,
  });

  const base = (extra) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: css("--ink") },
    margin: { l: 8, r: 8, t: 34, b: 8 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--accent") },
    showlegend: false,
    ...extra,
  });

  const drawdowns = (points) => {
    let peak = -Infinity;
    return points.map(([, equity]) => {
      peak = Math.max(peak, equity);
      return peak > 0 ? Math.min(0, equity / peak - 1) : null;
    });
  };

  const holdShapes = () =>
    data.holds.map((hold) => ({
      type: "rect",
      xref: "x",
      yref: "paper",
      x0: utc(hold.since),
      x1: utc(hold.lifted ?? data.ended ?? hold.since),
      y0: 0,
      y1: 1,
      fillcolor: tint(css("--bad"), 0.1),
      line: { width: 0 },
      layer: "below",
    }));

  const panelTitle = (text, y) => ({
    text,
    xref: "paper",
    yref: "paper",
    x: 0,
    y,
    xanchor: "left",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 12, color: css("--soft") },
  });

  const drawAccount = () => {
    const x = times(data.equity);
    const first = data.first_equity;
    const traces = [
      {
        x,
        y: values(data.equity),
        name: "Equity",
        mode: "lines",
        line: { color: css("--accent"), width: 1.8 },
        hovertemplate: `%{y:,.2f} ${currency}`,
      },
      {
        x,
        y: drawdowns(data.equity),
        name: "Drawdown",
        mode: "lines",
        yaxis: "y2",
        fill: "tozeroy",
        fillcolor: tint(css("--bad"), 0.16),
        line: { color: css("--bad"), width: 1.2 },
        hovertemplate: "%{y:.2%}",
      },
      {
        x: times(data.exposure),
        y: values(data.exposure),
        name: "Exposure",
        mode: "lines",
        yaxis: "y3",
        fill: "tozeroy",
        fillcolor: tint(css("--good"), 0.14),
        line: { color: css("--good"), width: 1.2, shape: "hv" },
        hovertemplate: `%{y:,.2f} ${currency}`,
      },
    ];
    const shapes = holdShapes();
    if (first !== null) {
      shapes.push({
        type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: first, y1: first,
        line: { color: css("--soft"), width: 1, dash: "dot" },
      });
    }
    const layout = base({
      xaxis: axis({ type: "date", anchor: "y3", domain: [0, 1], hoverformat: "%Y-%m-%d %H:%M:%S UTC" }),
      yaxis: axis({ domain: [0.5, 1] }),
      yaxis2: axis({ domain: [0.25, 0.42], tickformat: ".1%", rangemode: "tozero" }),
      yaxis3: axis({ domain: [0, 0.17], rangemode: "tozero" }),
      annotations: [
        panelTitle(`Equity, ${currency}`, 1.005),
        panelTitle("Drawdown from the peak", 0.425),
        panelTitle(`Exposure: all positions at their marks, sampled, ${currency}`, 0.175),
      ],
      shapes,
    });
    return Plotly.react("account-chart", traces, layout, config);
  };

  const fillTrace = (fills, buy, name, symbol, color) => {
    const size = fills.length > 150 ? 7 : 9;
    const own = fills.filter((fill) => fill[2] === buy);
    return {
      x: times(own),
      y: values(own),
      text: own.map((fill) => `${plainText(fill[3])}, ${plainText(fill[4])}`),
      name,
      mode: "markers",
      marker: { symbol, size, color, line: { color: css("--card"), width: 1 } },
      hovertemplate: "%{y:,} × %{text}",
    };
  };

  const selector = document.getElementById("price-symbol");
  const note = document.getElementById("price-note");

  const drawPrice = () => {
    const chart = data.symbols[selector ? selector.selectedIndex : 0];
    const traces = [
      {
        x: times(chart.prices),
        y: values(chart.prices),
        name: "Close",
        mode: "lines",
        line: { color: css("--soft"), width: 1.3 },
        hovertemplate: "%{y:,}",
      },
      fillTrace(chart.fills, 1, "Buy", "triangle-up", css("--good")),
      fillTrace(chart.fills, 0, "Sell", "triangle-down", css("--bad")),
    ];
    const total = chart.fills_total.toLocaleString("en");
    note.textContent =
      chart.fills.length < chart.fills_total
        ? `${chart.fills.length.toLocaleString("en")} of ${total} fills are marked, evenly chosen; trades.csv has all.`
        : `${total} fills.`;
    const layout = base({
      xaxis: axis({ type: "date", hoverformat: "%Y-%m-%d %H:%M:%S UTC" }),
      yaxis: axis({}),
      hovermode: "closest",
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      shapes: holdShapes(),
    });
    return Plotly.react("price-chart", traces, layout, config);
  };

  const draw = () => Promise.all([
    data.equity.length ? drawAccount() : null,
    data.symbols.length ? drawPrice() : null,
  ]);

  const button = document.getElementById("theme");
  const setTheme = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
  };
  const preference = matchMedia("(prefers-color-scheme: dark)");
  setTheme(preference.matches ? "dark" : "light");
  preference.addEventListener("change", (event) => {
    setTheme(event.matches ? "dark" : "light");
    draw();
  });
  button.addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    draw();
  });
  if (selector) selector.addEventListener("change", drawPrice);
  draw().then(() => { root.dataset.drawn = "yes"; });
})();
