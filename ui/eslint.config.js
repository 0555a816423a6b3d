import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

const htmlSinks = ["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc"];

// Message text is text: nothing in this folder may turn a string into markup.
const noMarkupFromStrings = htmlSinks.flatMap((name) => [
  {
    selector: `MemberExpression[property.name="${name}"], MemberExpression[property.value="${name}"]`,
    message: `${name} turns strings into markup.`,
  },
  {
    selector: `SvelteAttribute[key.name="${name}"], SvelteShorthandAttribute[key.name="${name}"]`,
    message: `${name} turns strings into markup.`,
  },
]);

export default ts.config(
  { ignores: ["dist", "node_modules", "src/lib/backend/bindings.ts"] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      "no-undef": "off",
      "svelte/no-at-html-tags": "error",
      "no-restricted-syntax": ["error", ...noMarkupFromStrings],
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["@tauri-apps/*"], message: "Only src/lib/backend/ may talk to Tauri." }] },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      eqeqeq: "error",
      // Maps and sets that nothing on screen reads stay plain.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
  },
  { files: ["src/lib/backend/**"], rules: { "no-restricted-imports": "off" } },
);
