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
import { test } from 'node:test';
import { inNamespace, serverGround, traces } from "./ground.js";
const soak = process.env['TT_SOAK'] === '1';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** What the client sees of an ENV, or undefined if there is none. */
async function shown(server, name) {
    const said = await server.tt('env', 'show', name, '--json');
    return said.code === 0 ? JSON.parse(said.stdout).envs[0] : undefined;
}
async function settled(server, name) {
    for (let tries = 0; tries < 600; tries++) {
        const env = await shown(server, name);
        if (env === undefined || env.phase === 'ready' || env.phase === 'failed')
            return env;
        await sleep(100);
    }
    throw new Error(`ENV ${name} did not settle: ${server.log().slice(-3000)}`);
}
async function cleanAfterwards(server) {
    const deleted = await server.tt('env', 'del', 'five');
    assert.ok(deleted.code === 0 || deleted.code === 6, deleted.stderr);
    assert.deepEqual(traces(server.mark(), `${server.dir}/data`), []);
    const doctor = await server.tt('doctor', '--leaks');
    assert.equal(doctor.code, 0, doctor.stdout);
}
await inNamespace(import.meta.url, () => {
    const waits = soak ? Array.from({ length: 40 }, (_, at) => at * 75) : [150, 900];
    for (const waitMs of waits) {
        test(`a server killed ${waitMs} ms into making 5 VMs finds them again or makes them`, { timeout: 240_000 }, async () => {
            const env_1 = { stack: [], error: void 0, hasError: false };
            try {
                const server = __addDisposableResource(env_1, serverGround(), true);
                await server.start();
                const added = await server.tt('env', 'add', 'five', '-s', 'micro', '-d', '4', '--no-wait');
                assert.equal(added.code, 0, added.stderr);
                await sleep(waitMs);
                const before = await shown(server, 'five');
                await server.stop('SIGKILL');
                await server.start();
                const env = await settled(server, 'five');
                assert.equal(env?.phase, 'ready', server.log().slice(-3000));
                for (const vm of env.vms) {
                    const pid = before?.vms.find(({ index }) => index === vm.index)?.pid;
                    if (typeof pid === 'number')
                        assert.equal(vm.pid, pid, `${vm.name} kept its process`);
                }
                const ran = await server.tt('env', 'run', 'five', '--cmd', 'true');
                assert.equal(ran.code, 0, ran.stderr);
                await cleanAfterwards(server);
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
    }
    // The tiny guest boots in an instant, so that every effect can have its turn.
    const points = soak ? Array.from({ length: 60 }, (_, at) => at + 1) : [3, 9, 14];
    for (const point of points) {
        for (const side of ['before', 'after']) {
            test(`a server killed ${side} effect ${point} leaves nothing that is not found again`, { timeout: 120_000 }, async () => {
                const env_2 = { stack: [], error: void 0, hasError: false };
                try {
                    const server = __addDisposableResource(env_2, serverGround(), true);
                    const crashing = server.launch({ TT_CRASH_AT: `${point}:${side}` });
                    for (let tries = 0; tries < 200 && crashing.signalCode === null; tries++) {
                        const added = await server.tt('env', 'add', 'five', '-s', 'demo-os', '-d', '1', '--no-wait');
                        if (added.code === 0)
                            await Promise.race([server.gone(), sleep(1500)]);
                        else if (crashing.signalCode === null)
                            await sleep(50);
                        if (added.code === 0)
                            break;
                    }
                    await server.stop('SIGKILL');
                    await server.start();
                    const env = await settled(server, 'five');
                    if (env)
                        assert.ok(env.phase === 'ready', server.log().slice(-3000));
                    await cleanAfterwards(server);
                }
                catch (e_2) {
                    env_2.error = e_2;
                    env_2.hasError = true;
                }
                finally {
                    const result_2 = __disposeResources(env_2);
                    if (result_2)
                        await result_2;
                }
            });
        }
    }
});
