import { defineConfig } from "vite";

export default defineConfig({
  base: "/admin/",
  worker: { format: "es" },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
  },
});
