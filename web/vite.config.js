import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { createRequire } from "node:module";
import { defineConfig } from "vite";

const require = createRequire(import.meta.url);

/** `import url from "file?gzip"`: the file, compressed, as an asset; a quarter of the bytes. */
function gzipped() {
  return {
    name: "gzipped",
    enforce: "pre",
    resolveId(id) {
      return id.endsWith("?gzip") ? `\0${require.resolve(id.slice(0, -"?gzip".length))}?gzip` : null;
    },
    load(id) {
      if (!id.endsWith("?gzip")) return null;
      const file = id.slice(1, -"?gzip".length);
      const source = gzipSync(readFileSync(file), { level: 9 });
      const asset = this.emitFile({ type: "asset", name: `${basename(file)}.gz`, source });
      return `export default import.meta.ROLLUP_FILE_URL_${asset};`;
    },
  };
}

/** The runtime's own copy of its binary is left out: the page fetches the compressed one. */
function withoutPlainBinary() {
  return {
    name: "without-plain-binary",
    generateBundle(_, bundle) {
      for (const name of Object.keys(bundle)) if (name.endsWith(".wasm")) delete bundle[name];
    },
  };
}

/** The style sheet goes into the page: one request fewer, and a page opened as a file has it too. */
function styleInside() {
  return {
    name: "style-inside",
    enforce: "post",
    generateBundle(_, bundle) {
      const page = bundle["index.html"];
      for (const [name, { source }] of Object.entries(bundle)) {
        if (!name.endsWith(".css")) continue;
        const link = new RegExp(`<link[^>]*${basename(name)}"[^>]*>`);
        if (!link.test(page.source)) throw new Error(`index.html links no ${name}`);
        page.source = page.source.replace(link, () => `<style>${source}</style>`);
        delete bundle[name];
      }
    },
  };
}

const plugins = () => [gzipped(), withoutPlainBinary()];

export default defineConfig({
  base: "./", // any folder of any host will do
  plugins: [...plugins(), styleInside()],
  worker: { format: "es", plugins },
  build: { target: "es2022", assetsInlineLimit: 0, reportCompressedSize: false },
});
