// npm run build: src/ and the libraries of package.json to built/, which the C build embeds as it is.
//
//   node build.js [--check] [MODULES]   MODULES: the folder with node_modules, if not this one; with --check nothing is
//                                       written, and the exit status says whether built/ is what src/ makes
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const modules = process.argv.slice(2).find((word) => !word.startsWith("--")) ?? import.meta.dirname;
const { build } = createRequire(`${modules}/package.json`)("esbuild");
const checking = process.argv.includes("--check");
const result = await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: { page: "src/app.jsx" },
    outdir: "built",
    nodePaths: [`${modules}/node_modules`],
    write: false,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none", // all of them are below
    metafile: true,
    charset: "utf8",
});
// The licences of what was bundled want to be passed on with it.
const packages = new Set(
    Object.keys(result.metafile.inputs)
        .map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1])
        .filter(Boolean),
);
const licences = [...packages].sort().map((name) => {
    const folder = `${modules}/node_modules/${name}`;
    const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry));
    const version = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version;
    return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}`;
});
const made = new Map(result.outputFiles.map((file) => [file.path, file.text]));
made.set(`${import.meta.dirname}/built/licences.txt`, `${licences.join("\n\n\n")}\n`);
made.set(`${import.meta.dirname}/built/index.html`, readFileSync(`${import.meta.dirname}/src/index.html`, "utf8"));

const read = (path) => {
    try {
        return readFileSync(path, "utf8");
    } catch {
        return null;
    }
};
let stale = 0;
for (const [path, text] of made) {
    if (read(path) === text) continue;
    stale += 1;
    if (checking) console.log(`${path.slice(import.meta.dirname.length + 1)} is not what src/ makes: npm run build`);
    else writeFileSync(path, text);
}
process.exit(checking && stale ? 1 : 0);
