import { gzipSync } from "node:zlib";
import vue from "@vitejs/plugin-vue";
import { defineConfig, type Plugin } from "vite";

/** Put a compressed copy beside each file for which that is worth it: the gateway compresses nothing itself. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    enforce: "post",
    generateBundle: {
      // Behind Vite, which still writes into the files where it loads parts of the page later.
      order: "post",
      handler(_options, bundle) {
        for (const file of Object.values(bundle)) {
          const plain = Buffer.from(file.type === "chunk" ? file.code : file.source);
          const packed = gzipSync(plain, { level: 9 });
          if (packed.length < plain.length * 0.9) {
            this.emitFile({ type: "asset", fileName: `${file.fileName}.gz`, source: packed });
          }
        }
      },
    },
  };
}

const GATEWAY = process.env.LINESIDE_GATEWAY ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [vue(), compressed()],
  define: { __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
  build: {
    outDir: "../src/lineside/edges/http/dashboard",
    emptyOutDir: true,
    target: "es2022",
    // The gateway's Content-Security-Policy lets nothing be inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npm run dev` shows a gateway that runs on this machine.
  server: {
    proxy: {
      "/api": GATEWAY,
      // A page's connection has to come from the gateway's own address.
      "/connection": { target: GATEWAY, ws: true, changeOrigin: true, headers: { origin: GATEWAY } },
    },
  },
  test: { include: ["tests/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
