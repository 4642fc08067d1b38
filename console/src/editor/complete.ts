// Completion from the JSON Schema of rule and policy files.

import type { Completion, CompletionContext, CompletionResult, CompletionSource } from "@codemirror/autocomplete";
import { placeAt } from "./place";

/** The part of JSON Schema that the schemas of rule and policy files use. */
export interface Schema {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  default?: unknown;
}

export function completer(schema: Schema): CompletionSource {
  return (context: CompletionContext): CompletionResult | null => {
    const word = context.matchBefore(/[A-Za-z0-9_\-/.*]*/);
    const from = word?.from ?? context.pos;
    if (!context.explicit && from === context.pos) {
      return null;
    }
    const { path, at, siblings } = placeAt(context.state.sliceDoc(0, from));
    if (at === "header") {
      return { from, options: headers(schema) };
    }
    const found = path.reduce((schemas, name) => schemas.flatMap((schema) => step(schema, name, siblings)), [schema]);
    const quoted = /["']$/.test(context.state.sliceDoc(Math.max(0, from - 1), from));
    if (at === "key") {
      return { from, options: names(found, siblings) };
    }
    return at === "value" ? { from, options: values(found, quoted) } : null;
  };
}

/** The forms that a value may have. A rule's form depends on its operation. */
function forms(schema: Schema, siblings: Map<string, string>): Schema[] {
  const nested = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  const fits = (form: Schema) => {
    const own = form.properties ?? {};
    return Object.entries(own).every(([name, { enum: choice }]) => {
      const there = siblings.get(name);
      return choice?.length !== 1 || there === undefined || there === JSON.stringify(choice[0]);
    });
  };
  return [schema, ...nested.filter(fits).flatMap((form) => forms(form, siblings))];
}

function step(schema: Schema, name: string, siblings: Map<string, string>): Schema[] {
  return forms(schema, siblings).flatMap((form) => {
    const own = form.properties?.[name];
    const other = typeof form.additionalProperties === "object" ? form.additionalProperties : undefined;
    const found = own ?? other;
    return found ? elements(found, siblings) : [];
  });
}

/** An array's elements stand for it: `[[rule]]` and `[a, b]` are completed alike. */
function elements(schema: Schema, siblings: Map<string, string>): Schema[] {
  return forms(schema, siblings).flatMap((form) => (form.items ? elements(form.items, siblings) : [form]));
}

function headers(schema: Schema): Completion[] {
  return Object.entries(schema.properties ?? {})
    .filter(([, { type, properties }]) => type === "array" || type === "object" || properties)
    .map(([name, { description }]) => ({ label: name, type: "class", ...info(description) }));
}

function names(schemas: Schema[], siblings: Map<string, string>): Completion[] {
  const found = new Map<string, Completion>();
  for (const form of schemas.flatMap((schema) => forms(schema, siblings))) {
    for (const [name, { description }] of Object.entries(form.properties ?? {})) {
      if (!siblings.has(name) && !found.has(name)) {
        found.set(name, { label: name, apply: `${name} = `, type: "property", ...info(description) });
      }
    }
  }
  return [...found.values()];
}

function values(schemas: Schema[], quoted: boolean): Completion[] {
  const found = new Set<unknown>();
  for (const schema of schemas.flatMap((schema) => forms(schema, new Map()))) {
    for (const value of schema.type === "boolean" ? [true, false] : (schema.enum ?? [])) {
      found.add(value);
    }
  }
  return [...found].map((value) => ({ label: quoted && typeof value === "string" ? value : JSON.stringify(value), type: "enum" }));
}

const info = (description: string | undefined) => (description ? { info: description } : {});
