import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the Python package, which serves it; never committed. Only own files: no other host is named anywhere.
export default defineConfig({
  plugins: [react()],
  html: { cspNonce: "__NORIA_NONCE__" }, // replaced in every answer by src/noria/ui/pages.py
  build: {
    outDir: "../src/noria/ui/static",
    emptyOutDir: true,
    target: "es2023",
    sourcemap: false,
    assetsInlineLimit: 0, // data: URLs would need a hole in the content security policy
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": "http://127.0.0.1:8321" },
  },
});
