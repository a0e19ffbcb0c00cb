/** uPlot gives the browser's language to Intl when it is loaded, and some browsers name one that Intl refuses ("en-US@posix"). Imported before it. */
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en-US", configurable: true });
}
