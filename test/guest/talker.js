import { randomBytes } from 'node:crypto';
import { ear, hello, nonceOf, pack } from "../../src/drivers/channel/rexec/frame.js";
import { answer, ask, execFlag, nonceBytes, trailerBytes } from "../../src/drivers/channel/rexec/protocol.js";
import { requestOf } from "../../src/drivers/channel/rexec/request.js";
/** Speaks the protocol frame by frame, as no channel would: for tests of what an agent does with a host that misbehaves. */
export function talker(stream) {
    const heard = [];
    const waiting = new Set();
    let trailer = Buffer.alloc(trailerBytes);
    let awakes = 0;
    let agreed = false;
    const rouse = () => {
        for (const wake of waiting)
            wake();
    };
    const ears = ear({
        agree: () => (agreed = true),
        awake: () => {
            awakes++;
            rouse();
        },
        lost: () => ears.expect(Buffer.alloc(nonceBytes)),
        broken: (why) => {
            throw new Error(`the agent broke the protocol: ${why}`);
        },
        frame: (type, id, payload) => {
            heard.push({ type, id, payload });
            rouse();
        },
    });
    ears.expect(Buffer.alloc(nonceBytes));
    stream.on('data', (chunk) => ears.hear(chunk));
    /** The first value `look` gives for what was heard, now or later. */
    const until = async (what, look, ms = 10_000) => {
        const end = performance.now() + ms;
        for (;;) {
            const found = look();
            if (found !== undefined)
                return found;
            await new Promise((resolve, reject) => {
                const timer = setTimeout(() => {
                    waiting.delete(wake);
                    reject(new Error(`${what}: not within ${ms} ms; heard ${heard.map(({ type, id }) => `${type.toString(16)}:${id}`).join(' ')}`));
                }, end - performance.now());
                const wake = () => {
                    clearTimeout(timer);
                    waiting.delete(wake);
                    resolve();
                };
                waiting.add(wake);
            });
        }
    };
    const take = (match) => {
        const at = heard.findIndex(match);
        return at < 0 ? undefined : heard.splice(at, 1)[0];
    };
    const talk = {
        heard,
        get awakes() {
            return awakes;
        },
        write: (bytes) => void stream.write(bytes),
        send: (...frames) => void stream.write(pack(trailer, frames)),
        pack: (...frames) => pack(trailer, frames),
        /** Says HELLO with a nonce of its own and waits for the facts. */
        async greet(nonce = nonceOf(randomBytes(nonceBytes))) {
            heard.length = 0;
            agreed = false;
            trailer = nonce.subarray(nonceBytes - trailerBytes);
            ears.expect(nonce);
            stream.write(hello(nonce));
            const facts = await until('facts', () => (agreed ? take(({ type }) => type === answer.facts) : undefined));
            return facts.payload.toString();
        },
        awake: (count) => until(`awake ${count}`, () => (awakes >= count ? true : undefined)),
        next: (type, id, ms) => until(`a frame ${type.toString(16)}:${id}`, () => take((one) => one.type === type && one.id === id), ms),
        exec: (id, command, options = {}) => talk.send(execFrame(id, requestOf(command, options), options.stdin ? 0 : execFlag.noStdin)),
        /** Runs shell text to its end. */
        async run(id, shell, ms) {
            talk.exec(id, { shell });
            const exit = await talk.next(answer.exit, id, ms);
            const said = (type) => Buffer.concat(heard.filter((one) => one.id === id && one.type === type).map(({ payload }) => payload)).toString();
            return { stdout: said(answer.stdout), stderr: said(answer.stderr), exit: [...exit.payload] };
        },
    };
    return talk;
}
export const execFrame = (id, body, flags) => ({ type: ask.exec, id, payload: Buffer.concat([Uint8Array.of(flags), body]) });
