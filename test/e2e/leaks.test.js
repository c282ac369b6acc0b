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
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { cgroupDirs, inNamespace, serverGround } from "./ground.js";
await inNamespace(import.meta.url, () => {
    test('the doctor finds each kind of leak that is planted, and no other', { timeout: 120_000 }, async (t) => {
        const env_1 = { stack: [], error: void 0, hasError: false };
        try {
            const server = __addDisposableResource(env_1, serverGround(), true);
            await server.start();
            const added = await server.tt('env', 'add', 'demo', '-s', 'demo-os');
            assert.equal(added.code, 0, added.stderr);
            const mark = server.mark();
            const data = join(server.dir, 'data');
            const leaks = async () => (JSON.parse((await server.tt('doctor', '--leaks', '--json')).stdout).leaks ?? []);
            assert.deepEqual(await leaks(), [], 'what is owned is no leak');
            const planted = async (kind, name, plant) => t.test(`a ${kind}`, async () => {
                const takeAway = plant();
                try {
                    const found = await leaks();
                    assert.ok(found.some((leak) => leak.kind === kind && name.test(leak.subject)), `${kind} ${name.source} is not among ${JSON.stringify(found)}`);
                    assert.equal((await server.tt('doctor', '--leaks')).code !== 0, true);
                }
                finally {
                    takeAway();
                }
                assert.deepEqual(await leaks(), []);
            });
            await planted('process', /./, () => {
                const child = spawn('sleep', ['100'], { argv0: `tt-${mark}-zzzz.9-0123456789abcdef`, stdio: 'ignore' });
                return () => void child.kill('SIGKILL');
            });
            await planted('tap', new RegExp(`tt${mark}t`), () => {
                execFileSync('ip', ['tuntap', 'add', 'dev', `tt${mark}tzzzz`, 'mode', 'tap']);
                return () => void execFileSync('ip', ['link', 'del', `tt${mark}tzzzz`]);
            });
            await planted('bridge', new RegExp(`tt${mark}b`), () => {
                execFileSync('ip', ['link', 'add', `tt${mark}bzzzz`, 'type', 'bridge']);
                return () => void execFileSync('ip', ['link', 'del', `tt${mark}bzzzz`]);
            });
            await planted('nft', /39999/, () => {
                execFileSync('nft', [`add element ip tt_${mark} public { 39999 : 10.64.9.9 . 22 }`]);
                return () => void execFileSync('nft', [`delete element ip tt_${mark} public { 39999 }`]);
            });
            await planted('cgroup', /zzzz\.9/, () => {
                const dir = join(dirname(cgroupDirs(mark)[0] ?? assert.fail('the VM has no cgroup')), 'zzzz.9');
                mkdirSync(dir);
                return () => rmdirSync(dir);
            });
            await planted('file', /zzzz\.9/, () => {
                const dir = join(data, 'engine', 'qemu', 'zzzz.9');
                mkdirSync(dir);
                return () => rmSync(dir, { recursive: true });
            });
            await planted('file', /stranger/, () => {
                writeFileSync(join(data, 'stranger'), '');
                return () => rmSync(join(data, 'stranger'));
            });
            await planted('mount', /zzzz/, () => {
                const dir = join(data, 'zzzz');
                mkdirSync(dir);
                execFileSync('mount', ['-t', 'tmpfs', 'none', dir]);
                return () => {
                    execFileSync('umount', [dir]);
                    rmdirSync(dir);
                };
            });
            const { envs } = (await server.json('env', 'show', 'demo'));
            assert.equal(envs[0]?.vms[0]?.state, 'ready', 'the search disturbed nothing');
        }
        catch (e_1) {
            env_1.error = e_1;
            env_1.hasError = true;
        }
        finally {
            const result_1 = __disposeResources(env_1);
            if (result_1)
                await result_1;
        }
    });
});
