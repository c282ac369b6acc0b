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
await inNamespace(import.meta.url, () => {
    test('the quick start, typed as a new user would, on real guests', { timeout: 240_000 }, async () => {
        const env_1 = { stack: [], error: void 0, hasError: false };
        try {
            const server = __addDisposableResource(env_1, serverGround(), true);
            await server.start();
            const { tt } = server;
            const ok = async (...args) => {
                const said = await tt(...args);
                assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}`);
                return said.stdout;
            };
            assert.match(await ok('config', '--serv-addr', '127.0.0.1', '--serv-port', String(server.port)), /127\.0\.0\.1/);
            assert.match(await ok('status'), new RegExp(`127\\.0\\.0\\.1:${server.port}`));
            assert.match(await ok('status', '--server'), /micro/);
            assert.match(await ok('image', 'list'), /demo-os/);
            assert.match(await ok('env', 'add', 'demo', '--os-prefix=micro', '-d', '1', '-p', '8080'), /demo is ready: 2 VMs/);
            assert.match(await ok('env', 'list'), /demo/);
            const { envs } = (await server.json('env', 'show', 'demo'));
            assert.deepEqual(envs[0]?.vms.map(({ state }) => state), ['ready', 'ready']);
            assert.deepEqual(Object.keys(envs[0]?.vms[0]?.ports ?? {}), ['22', '8080']);
            const both = await tt('env', 'run', 'demo', '--cmd', 'echo "a  b"; echo err >&2; exit 3', '--json');
            assert.equal(both.code, 3, both.stderr);
            const { results } = JSON.parse(both.stdout);
            assert.deepEqual(results.map(({ code, stdout, stderr }) => ({ code, stdout, stderr })), Array(2).fill({ code: 3, stdout: 'a  b\n', stderr: 'err\n' }));
            const one = await tt('env', 'run', 'demo', '-m', '1', '--cmd', 'echo "a  b"; echo err >&2; exit 3');
            assert.deepEqual(one, { code: 3, stdout: 'a  b\n', stderr: 'err\n' });
            const [{ ip = '', ports = {} } = {}] = envs[0]?.vms ?? [];
            const web = await tt('env', 'run', 'demo', '-m', '0', '--cmd', 'mkdir -p /www && echo from-the-guest > /www/index.html && httpd -p 8080 -h /www');
            assert.equal(web.code, 0, web.stderr);
            for (const place of [`${ip}:8080`, `127.0.0.1:${ports['8080']}`])
                assert.equal(await (await fetch(`http://${place}/index.html`)).text(), 'from-the-guest\n', place);
            await ok('env', 'run', 'demo', '-m', '0', '--cmd', 'echo kept > /root/kept');
            await ok('env', 'stop', 'demo');
            await ok('env', 'start', 'demo');
            assert.equal((await tt('env', 'run', 'demo', '-m', '0', '--cmd', 'cat /root/kept')).stdout, 'kept\n');
            await ok('env', 'del', 'demo');
            assert.deepEqual(traces(server.mark(), `${server.dir}/data`), []);
            assert.equal((await tt('doctor', '--leaks')).code, 0);
            assert.equal((await tt('env', 'show', 'demo')).code, 6);
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
