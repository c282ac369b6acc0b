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
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { plantedTree, project, toolOutput } from "./tree.js";
const dependencies = { used: '1.0.0', idle: '1.0.0' };
const devDependencies = { 'used-by-tests': '1.0.0', 'idle-too': '1.0.0' };
const files = {
    'package.json': JSON.stringify({ name: 'planted', type: 'module', dependencies, devDependencies }),
    'knip.json': readFileSync(join(project, 'knip.json'), 'utf8'),
    'src/bin/tt.ts': "import { used } from '../model/env.ts'\nexport const main = async () => [used, (await import('../model/lazy.ts')).lazy]\n",
    'src/model/env.ts': [
        "import { x } from 'used'",
        'export const used = x',
        'export const usedByTest = 1',
        'export const idleExport = 2',
        'export interface WordOfTheFile { word: string }',
        'export const word = (): WordOfTheFile => ({ word: String(idleExport) })',
        'export type IdleType = string',
    ].join('\n'),
    'src/model/env.test.ts': "import { y } from 'used-by-tests'\nimport { usedByTest, word } from './env.ts'\nimport { suite } from './env.contract.ts'\nsuite([y, usedByTest, word])\n",
    'src/model/env.contract.ts': 'export const suite = (x: unknown) => x\n',
    'src/model/idle.contract.ts': 'export const suite = (x: unknown) => x\n',
    'src/model/lazy.ts': 'export const lazy = 1\n',
    'src/model/idle.ts': 'export const nobody = 1\n',
    'test/support.ts': 'export const nobody = 1\n',
    'bench/start.ts': "import { unlisted } from 'unlisted'\nunlisted()\n",
    '.dependency-cruiser-reach.mjs': '',
};
test('knip finds what nothing uses: files, suites, exports, types, packages; a use by a test is a use', () => {
    const env_1 = { stack: [], error: void 0, hasError: false };
    try {
        const tree = __addDisposableResource(env_1, plantedTree(files), false);
        const { issues } = JSON.parse(toolOutput({ bin: 'knip', args: ['--reporter', 'json'], cwd: tree.path }));
        const found = issues.flatMap(({ file, ...kinds }) => Object.entries(kinds).flatMap(([kind, list]) => (Array.isArray(list) ? list.map(({ name }) => `${kind}: ${file}: ${name}`) : [])));
        assert.deepEqual(found.sort(), [
            'dependencies: package.json: idle',
            'devDependencies: package.json: idle-too',
            'exports: src/model/env.ts: idleExport',
            'files: src/model/idle.contract.ts: src/model/idle.contract.ts',
            'files: src/model/idle.ts: src/model/idle.ts',
            'files: test/support.ts: test/support.ts',
            'types: src/model/env.ts: IdleType',
            'unlisted: bench/start.ts: unlisted',
        ]);
    }
    catch (e_1) {
        env_1.error = e_1;
        env_1.hasError = true;
    }
    finally {
        __disposeResources(env_1);
    }
});
