"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const drawn = new Set(["svg", "g", "path", "line", "text", "circle", "rect", "defs", "clipPath"]);
/** An element with attributes, listeners (`onclick`), and children; texts stay texts. */
function h(tag, attributes = {}, ...children) {
  const made = drawn.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const superscript = (n) => [...String(n)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");

/** 1000000 as 10⁶, 2500000 as 2.5×10⁶, 0.5 as 0.5. */
function short(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 1e-2 && Math.abs(value) < 1e4) return String(Number(value.toPrecision(4)));
  const [mantissa, exponent] = value.toExponential(2).split("e");
  const power = `10${superscript(Number(exponent))}`;
  return Number(mantissa) === 1 ? power : `${Number(mantissa)}×${power}`;
}

/** On a log axis powers of ten are powers from 1000 on and below 0.1. */
const tickText = (value, log) => {
  const exponent = Math.round(Math.log10(value));
  const power = log && Number(`1e${exponent}`) === value && (value >= 1e3 || value < 0.1);
  return power ? `10${superscript(exponent)}` : short(value);
};

/** 0.03360, or 3.59e-04 below 0.01 and from 10,000 on, as the commands print it. */
const number = (value, digits = 3) => {
  if (value === 0) return "0";
  const plain = Math.abs(value) >= 1e-2 && Math.abs(value) < 1e4;
  return (plain ? value.toPrecision(digits + 1) : value.toExponential(digits - 1)).replace(/e([+-])(\d)$/, "e$10$2");
};

function duration(seconds) {
  for (const [unit, length] of [["years", 31557600], ["days", 86400], ["hours", 3600], ["minutes", 60]]) {
    if (seconds >= 2 * length) return `${(seconds / length).toPrecision(seconds >= 100 * length ? 3 : 2)} ${unit}`;
  }
  return "";
}

const clock = (unit) => (time) => {
  const told = unit === "s" && duration(time);
  return `${short(time)} ${unit}${told ? ` (${told})` : ""}`;
};

function scale(kind, [low, high], [from, to]) {
  const f = kind === "log" ? Math.log10 : Number;
  const place = (value) => from + ((f(value) - f(low)) / (f(high) - f(low) || 1)) * (to - from);
  const back = (at) => {
    const value = f(low) + ((at - from) / (to - from)) * (f(high) - f(low));
    return kind === "log" ? 10 ** value : value;
  };
  return { place, back, low, high, log: kind === "log" };
}

/** [value, whether it is labelled], at most about `room` of them labelled. */
function ticks({ low, high, log }, room) {
  const found = [];
  if (!log) {
    const rough = (high - low) / room;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
    for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i++) found.push([i * step, true]);
    return found;
  }
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const decades = Math.log10(high / low);
  const every = Math.ceil(decades / room);
  const labelled = decades < 1 ? [1, 2, 3, 5, 7] : decades < 2.2 ? [1, 2, 5] : [1];
  for (let e = first; e <= last; e++) {
    for (let m = 1; m < 10; m++) {
      const value = Number(`${m}e${e}`);
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) found.push([value, labelled.includes(m) && e % every === 0]);
    }
  }
  return found;
}

/** Dashes are in widths of the line, which is 2. */
const scaled = (dash) => (dash ? dash.split(" ").map((d) => 2 * d).join(" ") : null);
