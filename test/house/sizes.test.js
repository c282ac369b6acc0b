import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { project, projectFiles } from "./tree.js";
const limitLines = 400;
const mostLines = 250;
const medianLines = 130;
test(`no file is longer than ${limitLines} lines, most are under ${mostLines}, the median is near 100`, (t) => {
    const written = projectFiles(['src', 'test', 'bench', 'script', 'guest', 'native', 'images']).filter((path) => !path.includes('/golden/'));
    const sizes = written.map((path) => ({ path, lines: lineCount(readFileSync(join(project, path), 'utf8')) }));
    const source = sizes.filter(({ path }) => isSource(path)).map(({ lines }) => lines);
    t.diagnostic(`${source.length} files of source: median ${quantile(source, 0.5)}, nine in ten up to ${quantile(source, 0.9)}, longest ${Math.max(...source)} lines`);
    assert.deepEqual(sizeProblems(sizes), []);
});
test('the law of sizes fires on a long file, on many middling ones and on a high median', () => {
    const files = (count, lines) => Array.from({ length: count }, (_, index) => ({ path: `src/host/f${index}.ts`, lines }));
    assert.deepEqual(sizeProblems([...files(20, 100), ...files(2, 390)]), []);
    assert.match(sizeProblems([...files(20, 100), { path: 'test/x.test.ts', lines: 401 }]).join(), /test\/x\.test\.ts: 401 lines/);
    assert.match(sizeProblems([...files(20, 100), ...files(5, 260)]).join(), /one file in ten/);
    assert.match(sizeProblems(files(20, 140)).join(), /median/);
});
/** Offenders, longest first. Median and spread are those of the source: tests are lists of cases and may be longer. */
function sizeProblems(sizes) {
    const problems = sizes
        .filter(({ lines }) => lines > limitLines)
        .sort((a, b) => b.lines - a.lines)
        .map(({ path, lines }) => `${path}: ${lines} lines, ${limitLines} at most`);
    const source = sizes.filter(({ path }) => isSource(path)).map(({ lines }) => lines);
    const ninth = quantile(source, 0.9);
    const median = quantile(source, 0.5);
    if (ninth > mostLines)
        problems.push(`one file in ten is longer than ${ninth} lines, ${mostLines} at most`);
    if (median > medianLines)
        problems.push(`the median file has ${median} lines, ${medianLines} at most`);
    return problems;
}
function isSource(path) {
    return /^src\/.*\.ts$/.test(path) && !/\.(test|contract)\.ts$/.test(path);
}
function quantile(values, share) {
    return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}
function lineCount(text) {
    return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}
