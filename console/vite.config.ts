import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Built into the package, which serves it under /console; nothing is fetched from another host.
export default defineConfig({
  base: "/console/",
  plugins: [react()],
  build: {
    outDir: "../src/civium/web/console_built",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 3000,
    manifest: true,
  },
  worker: { format: "es" },
});
