import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const css = readFileSync(new URL('../../src/style/base.css', import.meta.url), 'utf8');

function declarations(selector: string): string[] {
  const begin = css.indexOf(`${selector} {`);
  expect(begin, selector).toBeGreaterThan(0);
  const lines = css.slice(css.indexOf('{', begin) + 1, css.indexOf('}', begin)).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

it('is as dark by choice as by the system', () => {
  const chosen = declarations(":root[data-theme='dark']");
  expect(chosen.length).toBeGreaterThan(20);
  expect(declarations(":root:not([data-theme='light'])")).toEqual(chosen);
});
