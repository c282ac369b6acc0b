var __addDisposableResource = (this && this.__addDisposableResource) || function (env, value, async) {
    if (value !== null && value !== void 0) {
        if (typeof value !== "object" && typeof value !== "function") throw new TypeError("Object expected.");
        var dispose, inner;
        if (async) {
            if (!Symbol.asyncDispose) throw new TypeError("Symbol.asyncDispose is not defined.");
            dispose = value[Symbol.asyncDispose];
        }
        if (dispose === void 0) {
            if (!Symbol.dispose) throw new TypeError("Symbol.dispose is not defined.");
            dispose = value[Symbol.dispose];
            if (async) inner = dispose;
        }
        if (typeof dispose !== "function") throw new TypeError("Object not disposable.");
        if (inner) dispose = function() { try { inner.call(this); } catch (e) { return Promise.reject(e); } };
        env.stack.push({ value: value, dispose: dispose, async: async });
    }
    else if (async) {
        env.stack.push({ async: true });
    }
    return value;
};
var __disposeResources = (this && this.__disposeResources) || (function (SuppressedError) {
    return function (env) {
        function fail(e) {
            env.error = env.hasError ? new SuppressedError(e, env.error, "An error was suppressed during disposal.") : e;
            env.hasError = true;
        }
        var r, s = 0;
        function next() {
            while (r = env.stack.pop()) {
                try {
                    if (!r.async && s === 1) return s = 0, env.stack.push(r), Promise.resolve().then(next);
                    if (r.dispose) {
                        var result = r.dispose.call(r.value);
                        if (r.async) return s |= 2, Promise.resolve(result).then(next, function(e) { fail(e); return next(); });
                    }
                    else s |= 1;
                }
                catch (e) {
                    fail(e);
                }
            }
            if (s === 1) return env.hasError ? Promise.reject(env.error) : Promise.resolve();
            if (env.hasError) throw env.error;
        }
        return next();
    };
})(typeof SuppressedError === "function" ? SuppressedError : function (error, suppressed, message) {
    var e = new Error(message);
    return e.name = "SuppressedError", e.error = error, e.suppressed = suppressed, e;
});
import assert from 'node:assert/strict';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';
import { plantedTree, project, toolOutput } from "./tree.js";
const promise = 'declare const later: () => Promise<number>\n';
/** Per rule, lines each of which breaks it and no other, where it stands in `src/host/` unless a path says otherwise. */
const forbidden = {
    'typescript(no-floating-promises)': [
        `${promise}later()`,
        `${promise}void later()`,
        { in: 'src/host/a.test.ts', text: `${promise}later()` },
        { in: 'src/base/a.ts', text: `${promise}later()` },
    ],
    'typescript(no-misused-promises)': [`${promise}if (later()) throw new Error('no')`, `${promise}export const all = [1].forEach(async () => { await later() })`],
    'typescript(await-thenable)': ['declare const one: number\nexport const now = await one'],
    'typescript(only-throw-error)': ["export const no = () => { throw 'no' }"],
    'typescript(switch-exhaustiveness-check)': ["export const f = (x: 'a' | 'b') => { switch (x) { case 'a': return 1 } return 2 }"],
    'typescript(no-explicit-any)': ['export const f = (x: any) => x'],
    'typescript(consistent-type-imports)': ["import { World } from '../base/world.ts'\nexport const f = (x: World) => x"],
    'typescript(no-import-type-side-effects)': ["import { type World } from '../base/world.ts'\nexport const f = (x: World) => x"],
    'typescript(no-require-imports)': ["export const f = require('./x.ts')"],
    'typescript(ban-ts-comment)': ["// @ts-ignore\nexport const f: number = 'x'", "// @ts-expect-error\nexport const f: number = 'x'"],
    'import(no-default-export)': ['export default 1', { in: 'test/a.test.ts', text: 'export default 1' }],
    'import(no-mutable-exports)': ['export let x = 1\nx = 2'],
    'eslint(no-console)': ["console.log('x')", { in: 'src/bin/a.ts', text: "console.error('x')" }, { in: 'src/base/world.ts', text: "console.error('x')" }],
    'eslint(no-var)': ['var x = 1\nexport const y = x'],
    'eslint(prefer-const)': ['let x = 1\nexport const y = x'],
    'eslint(eqeqeq)': ['export const f = (x: number) => x == 1'],
    'eslint(no-eval)': ["export const f = eval('1')"],
    'eslint(no-restricted-globals)': [
        'setTimeout(() => {}, 1)',
        'setInterval(() => {}, 1)',
        'setImmediate(() => {})',
        'globalThis.setTimeout(() => {}, 1)',
        'export const t = performance.now()',
        { in: 'src/bin/a.ts', text: 'setTimeout(() => {}, 1)' },
        { in: 'src/bin/a.ts', text: 'export const t = performance.now()' },
        { in: 'src/base/a.ts', text: 'setInterval(() => {}, 1)' },
    ],
    'eslint(no-restricted-properties)': [
        'export const t = Date.now()',
        'export const t = Math.random()',
        'export const t = AbortSignal.timeout(1)',
        'export const t = process.hrtime()',
        'export const t = process.uptime()',
        'export const t = crypto.getRandomValues(new Uint8Array(1))',
        'export const t = crypto.randomUUID()',
        'export const t = process.argv',
        'export const t = process.env.HOME',
        'export const { env } = process',
        "process.on('SIGINT', () => {})",
        "process.once('SIGINT', () => {})",
        "process.addListener('SIGINT', () => {})",
        'process.exit(1)',
        'process.exitCode = 1',
        { in: 'src/bin/a.ts', text: 'export const t = Date.now()' },
        { in: 'src/bin/a.ts', text: 'export const t = Math.random()' },
        { in: 'src/bin/a.ts', text: 'export const t = AbortSignal.timeout(1)' },
        { in: 'src/bin/a.ts', text: 'export const t = crypto.randomUUID()' },
        { in: 'src/base/world.ts', text: 'export const t = process.env.HOME' },
        { in: 'src/base/world.ts', text: 'export const t = process.argv' },
        { in: 'src/base/world.ts', text: "process.on('SIGINT', () => {})" },
    ],
    'eslint(no-restricted-imports)': [
        "import { randomBytes } from 'node:crypto'\nexport const t = randomBytes(1)",
        "import { randomUUID as id } from 'node:crypto'\nexport const t = id()",
        "import { webcrypto } from 'node:crypto'\nexport const t = webcrypto.subtle",
        "import crypto from 'node:crypto'\nexport const t = crypto.createHash('md5')",
        { in: 'src/bin/a.ts', text: "import { randomInt } from 'node:crypto'\nexport const t = randomInt(1)" },
    ],
};
/** Lines that look alike and are fine where they stand. */
const allowed = [
    { in: 'src/base/world.ts', text: "import { randomBytes } from 'node:crypto'\nexport const t = [Date.now(), performance.now(), setTimeout(() => {}, 1), randomBytes(1)]" },
    { in: 'src/base/a.ts', text: `${promise}void later()` },
    { in: 'src/base/a.test.ts', text: "import { test } from 'node:test'\ntest('x', () => {})" },
    { in: 'src/bin/a.ts', text: "process.on('SIGINT', () => process.exit(process.argv.length))\nexport const { env } = process" },
    { in: 'src/host/a.test.ts', text: "import { it, test } from 'node:test'\ntest('x', async () => { await Promise.resolve(setTimeout(() => {}, Date.now())) })\nit('y', () => {})\nexport const t = process.env.X" },
    { in: 'src/host/a.contract.ts', text: "import { describe } from 'node:test'\ndescribe('x', () => { setTimeout(() => {}, 1) })\nexport const t = process.env.X" },
    { in: 'test/a.test.ts', text: "console.log(Date.now(), process.env.X, Math.random())" },
    { in: 'bench/a.ts', text: "console.log(performance.now())\nprocess.exitCode = 1" },
    { in: 'src/host/a.ts', text: "import { createHash } from 'node:crypto'\nimport type { World } from '../base/world.ts'\nexport const t = (world: World) => [new Date(world.now()), process.platform, createHash('sha256')]" },
];
test('each lint rule fires on what it forbids, and no other does', () => {
    const planted = Object.entries(forbidden).flatMap(([rule, cases]) => cases.map((one) => ({ rule, ...(typeof one === 'string' ? { in: 'src/host/a.ts', text: one } : one) })));
    const found = lint([...planted, ...allowed]);
    const line = (plant, rules) => `${rules.join(', ') || 'nothing'}: ${plant.in}: ${plant.text}`;
    assert.deepEqual([...planted, ...allowed].map((plant, index) => line(plant, found[index])), [...planted.map((plant) => line(plant, [plant.rule])), ...allowed.map((plant) => line(plant, []))]);
});
test('no lint rule of the configuration is without a plant', () => {
    const { config } = ts.parseConfigFileTextToJson('.oxlintrc.json', readFileSync(join(project, '.oxlintrc.json'), 'utf8'));
    const on = (rules) => Object.keys(rules).filter((name) => rules[name] !== 'off');
    const named = new Set([config, ...config.overrides].flatMap(({ rules }) => on(rules)));
    const shown = [...named].map((name) => (name.includes('/') ? name.replace('/', '(').concat(')') : `eslint(${name})`));
    assert.deepEqual(shown.sort(), Object.keys(forbidden).sort());
});
/** For each plant, the rules that fired in it. Plants that stand in one and the same file take turns, each in a tree of its own. */
function lint(plants) {
    const found = plants.map(() => []);
    const placed = plants.map((plant, index) => plant.in.replace(/\/a\./, `/a${index}.`));
    const turns = Map.groupBy(placed.keys(), (index) => placed.slice(0, index).filter((path) => path === placed[index]).length);
    for (const turn of turns.values()) {
        const env_1 = { stack: [], error: void 0, hasError: false };
        try {
            const texts = { 'src/base/world.ts': 'export interface World { now(): number }\n' };
            for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json'])
                texts[file] = readFileSync(join(project, file), 'utf8');
            for (const index of turn)
                texts[placed[index]] = `${plants[index].text}\nexport interface World { now(): number }\n`;
            const tree = __addDisposableResource(env_1, plantedTree(texts), false);
            symlinkSync(join(project, 'node_modules'), join(tree.path, 'node_modules'));
            const said = toolOutput({ bin: 'oxlint', args: ['--format', 'json', '--no-error-on-unmatched-pattern', 'src', 'test', 'bench'], cwd: tree.path });
            const { diagnostics } = JSON.parse(said);
            for (const { code, filename } of diagnostics) {
                const index = turn.find((one) => placed[one] === filename);
                assert.ok(index !== undefined, `${code} in ${filename}, where nothing was planted`);
                if (!found[index].includes(code))
                    found[index].push(code);
            }
        }
        catch (e_1) {
            env_1.error = e_1;
            env_1.hasError = true;
        }
        finally {
            __disposeResources(env_1);
        }
    }
    return found;
}
