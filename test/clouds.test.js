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
import { apiServer } from "../src/api/server.js";
import { httpCloud } from "../src/api/client.js";
import { nodeTransport } from "../src/api/node-transport.js";
import { silentLog } from "../src/base/log.js";
import { realWorld } from "../src/base/world.js";
import { guard } from "../src/cloud/guard.js";
import { cloudContract } from "../src/model/cloud.contract.js";
import { sessionContract } from "../src/model/session.contract.js";
import { fakeCloud, temporaryDir } from "./fake-cloud.js";
const ann = { name: 'ann', role: 'user' };
const bob = { name: 'bob', role: 'user' };
const admin = { name: 'admin', role: 'admin' };
const users = new Map([ann, bob, admin].map((user) => [`token-of-${user.name}`, user]));
/** The cluster, and what `see` makes of it for its users. */
function under(see) {
    return async () => {
        const env_1 = { stack: [], error: void 0, hasError: false };
        try {
            const building = __addDisposableResource(env_1, new AsyncDisposableStack(), true);
            const { dir } = building.use(temporaryDir('clouds'));
            const { cloud } = building.use(await fakeCloud({ dir }));
            const seen = await see(cloud, building);
            const stack = building.move();
            return { ...seen, image: 'fake:micro', [Symbol.asyncDispose]: () => stack.disposeAsync() };
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
    };
}
/** Clients of the cloud over HTTP, one for each user. */
async function overHttp(cloud, stack, ...callers) {
    const server = stack.use(apiServer({ cloudFor: (user) => guard(cloud, user), authenticate: (token) => users.get(token), world: realWorld, log: silentLog, drainMs: 200 }));
    await server.listen('127.0.0.1', 0);
    return callers.map((caller) => httpCloud(`http://127.0.0.1:${server.address?.port}`, { token: `token-of-${caller.name}`, world: realWorld, ...stack.use(nodeTransport()) }));
}
const all = {
    cluster: under(async (cloud) => ({ cloud })),
    'guard over cluster': under(async (cloud) => ({ cloud: guard(cloud, ann), other: guard(cloud, bob) })),
    'httpCloud over cluster, as admin': under(async (cloud, stack) => ({ cloud: (await overHttp(cloud, stack, admin))[0] })),
    'httpCloud over guard over cluster': under(async (cloud, stack) => {
        const [mine, theirs] = await overHttp(cloud, stack, ann, bob);
        return { cloud: mine, other: theirs };
    }),
};
for (const [name, make] of Object.entries(all)) {
    cloudContract({ name, make });
    sessionContract({ name, make });
}
