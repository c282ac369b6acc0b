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
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plainEffects } from "../src/base/effects.js";
import { silentLog } from "../src/base/log.js";
import { realWorld } from "../src/base/world.js";
import { cluster } from "../src/cloud/cluster.js";
import { fake as fakeEngine } from "../src/drivers/engine/fake.js";
import { fake as fakeNetwork } from "../src/drivers/network/fake.js";
import { fake as fakeVolume } from "../src/drivers/volume/fake.js";
import { runHost } from "../src/host/host.js";
import { memoryStore } from "../src/store/memory.js";
/** A directory that goes away with what it is used for. */
export function temporaryDir(name) {
    const dir = mkdtempSync(join(tmpdir(), `tt-${name}-`));
    return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}
/**
 * Cluster and one host in this process, on the fakes: everything real but the guests. Called again with the same directory and store it is the same
 * server started anew.
 */
export async function fakeCloud({ dir, store, engine = {} }) {
    const env_1 = { stack: [], error: void 0, hasError: false };
    try {
        const building = __addDisposableResource(env_1, new AsyncDisposableStack(), true);
        const kept = store ?? building.use(memoryStore({ world: realWorld }));
        const home = (kind) => {
            mkdirSync(join(dir, kind), { recursive: true });
            return { dir: join(dir, kind), mark: 'fakes', world: realWorld, effects: plainEffects(), log: silentLog };
        };
        const engineDriver = building.use(await fakeEngine(home('engine'), engine));
        const volume = building.use(await fakeVolume(home('volume'), {}));
        const network = building.use(await fakeNetwork(home('network'), { subnet: '10.77.0.0/16', bind: '127.0.0.1' }));
        const host = building.use(await runHost({
            name: 'one',
            address: '127.0.0.1:9527',
            version: '0',
            store: kept,
            world: realWorld,
            effects: plainEffects(),
            log: silentLog,
            engines: new Map([['fake', { engine: engineDriver, version: '1' }]]),
            volume: { name: 'fake', driver: volume },
            network: { name: 'fake', driver: network },
            channels: {},
            unusable: [],
            total: { cpu: 20_000, memMb: 2_000_000, diskMb: 20_000_000, vms: 20_000 },
            subnet: '10.77.0.0/16',
            portFrom: 40_000,
            portTo: 59_999,
            images: { dirs: [], cacheDir: join(dir, 'images') },
            dataDir: dir,
            expected: new Set(['engine', 'volume', 'network', 'images', 'store']),
            uidOf: () => undefined,
            boot: 'this one',
        }));
        const cloud = building.use(await cluster({ store: kept, world: realWorld, log: silentLog, version: '0', peer: (name) => (name === 'one' ? host.peer : undefined), limits: { copiesMax: 20_000 } }));
        const stack = building.move();
        return { cloud, store: kept, leaks: host.leaks, [Symbol.asyncDispose]: () => stack.disposeAsync() };
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
}
