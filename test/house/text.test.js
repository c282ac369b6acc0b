import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { project, projectFiles } from "./tree.js";
/** What no line may hold, where, and a line that does. Everything an AST is needed for is the linter's. */
const laws = [
    {
        what: 'a promise to do something later names its issue: TODO #12',
        pattern: /\b(TODO|FIXME|XXX|HACK)\b(?! #\d)/,
        files: /^(src|test|bench|script|guest|native|images|docs)\//,
        plants: ['// TODO: later', '# FIXME', '/* XXX 12 */'],
        fine: ['// TODO #12: later', "const name = 'TODOS'"],
    },
    {
        what: 'time comes in as World: no new Date() without a time',
        pattern: /\bnew Date(?!\s*\(\s*[^)\s])\b|(?<!new )(?<![\w.])Date\(/,
        files: /^src\/(?!base\/world\.ts$).*(?<!\.(test|contract))\.ts$/,
        plants: ['const at = new Date()', 'const at = new Date( )', 'const at = new Date', 'const at = Date()'],
        fine: ['const at = new Date(world.now())', 'const at = toDate(1)', 'const at: Date = from(1)', 'Date.parse(text)'],
    },
    {
        what: 'no banners and no separators',
        pattern: /^\s*(\/\/|\/\*+|\*|#)\s*[-=*#~_]{4,}/,
        files: /^(src|test|bench|script|guest|native|images)\//,
        plants: ['// ------', '/* ======= */', '# ####'],
        fine: ['// --flag', '/**'],
    },
    {
        what: 'a rule is disabled with a reason: // oxlint-disable-next-line no-console -- why',
        pattern: /(oxlint|eslint)-disable(?!.* -- \S)/,
        files: /^(src|test|bench|script)\//,
        plants: ['// oxlint-disable-next-line no-console', '/* eslint-disable */'],
        fine: ['// oxlint-disable-next-line no-console -- the last words of a dying process'],
    },
    {
        what: 'no registry, no path of the machine it was written on',
        pattern: /registry\.(npmjs|yarnpkg)\.|(^|[\s'"`(=])\/(work|tmp\/scratch)\//,
        files: /^(src|test|bench|script|guest|native|images|docs|launch)\/|^[^/]+$/,
        plants: ['https://registry.npmjs.org/x', "cd '/work/main'"],
        fine: ['/run/work/x', 'network/work/'],
    },
];
const folders = ['src', 'test', 'bench', 'script', 'guest', 'native', 'images', 'docs', 'launch'];
const rootFiles = readdirSync(project, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
for (const { what, pattern, files, plants, fine } of laws)
    test(what, () => {
        for (const line of plants)
            assert.match(line, pattern, 'the law does not fire on its plant');
        for (const line of fine)
            assert.doesNotMatch(line, pattern);
        const paths = [...projectFiles(folders), ...rootFiles].filter((path) => files.test(path) && !path.includes('/golden/') && path !== 'test/house/text.test.ts');
        const offenders = paths.flatMap((path) => linesOf(path).flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])));
        assert.deepEqual(offenders, []);
    });
test('package-lock.json names no host and lacks nothing that npm ci would ask for', () => {
    assert.deepEqual(lockProblems(JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'))), []);
});
test('the law of the lock fires on an address and on a missing build for another platform', () => {
    const entry = { version: '1.0.0', optionalDependencies: { 'a-linux': '1.0.0' } };
    assert.deepEqual(lockProblems({ packages: { 'node_modules/a': entry, 'node_modules/a/node_modules/a-linux': { version: '1.0.0' } } }), []);
    assert.equal(lockProblems({ packages: { 'node_modules/a': entry } }).length, 1);
    assert.equal(lockProblems({ packages: { 'node_modules/b': { version: '1.0.0', resolved: 'https://host/b.tgz' } } }).length, 1);
});
/** An npm that could not see all builds of a package with native code writes a lock that `npm ci` refuses everywhere. */
function lockProblems({ packages }) {
    const held = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')));
    return Object.entries(packages).flatMap(([path, { resolved, dependencies, optionalDependencies }]) => {
        const missing = Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !held.has(name));
        return [...(resolved === undefined ? [] : [`${path}: names an address`]), ...missing.map((name) => `${path}: ${name} is not in the lock`)];
    });
}
function linesOf(path) {
    const bytes = readFileSync(join(project, path));
    return bytes.includes(0) ? [] : bytes.toString('utf8').split('\n');
}
