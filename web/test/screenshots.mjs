// The pictures of docs/: each view, of a server that answers at URL.
//
//   node test/screenshots.mjs URL [FOLDER [METHOD [WIDTHS [SCHEMES]]]]
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const url = process.argv[2];
if (!url) throw new Error('usage: node test/screenshots.mjs URL [FOLDER [METHOD [WIDTHS [SCHEMES]]]]');
const folder = process.argv[3] ?? fileURLToPath(new URL('../../docs/images', import.meta.url));
const method = process.argv[4] ?? 'gumbel-beam';
const widths = (process.argv[5] ?? '1280').split(',').map(Number);
const schemes = (process.argv[6] ?? 'light').split(',');
const heights = { 320: 640, 1280: 800, 3840: 2160 };
const isForDocs = widths.length === 1 && schemes.length === 1;

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

// Something for the meters to show: a few texts, one after the other.
async function write(client) {
  for (let i = 0; i < 4; i++) {
    const body = { prompt: 'The old house', seed: 10 * client + i, max_tokens: 300, method };
    await (await fetch(`${url}/v1/completions`, { method: 'POST', body: JSON.stringify(body) })).text();
    await new Promise((resolve) => setTimeout(resolve, 700 * client));
  }
}

async function shoot(width, colorScheme) {
  const page = await browser.newPage({
    viewport: { width, height: heights[width] ?? 800 },
    colorScheme,
    reducedMotion: 'reduce',
  });
  const save = (view) =>
    page.screenshot({
      path: `${folder}/web-${view}${isForDocs ? '' : `-${width}-${colorScheme}`}.png`,
      fullPage: true,
    });
  const show = (name) => page.getByRole('navigation').getByRole('link', { name }).click();
  await page.goto(url);
  await page.locator('.server-note.ready').waitFor();
  await page.getByLabel('Tokens', { exact: true }).first().fill('160');
  await page.locator('.prompt-card select').selectOption(method);
  await page.getByRole('button', { name: 'Continue the text' }).click();
  await page.locator('.ending', { hasText: 'Seed' }).waitFor({ timeout: 120_000 });
  await page.locator('.output-card .t.accepted').nth(3).hover();
  await save('write');

  await show(/Watch/);
  await page.mouse.move(0, 0);
  await page.keyboard.press('Home');
  // A round that shows all there is to see.
  const last = Number(await page.getByRole('slider', { name: 'Round' }).getAttribute('max'));
  for (let i = 0; i < last; i++) {
    if ((await page.locator('.tree-panel .node.accepted').count()) >= 2) break;
    await page.keyboard.press('ArrowRight');
    await page.waitForTimeout(20);
  }
  await page.waitForTimeout(300);
  await save('watch');

  await show(/Race/);
  await page.locator('.lane select').last().selectOption(method);
  await page.getByRole('button', { name: 'Start the race' }).click();
  await page.locator('.result').waitFor({ timeout: 120_000 });
  await save('race');

  await show(/Meters/);
  await Promise.all([1, 2, 3].map(write));
  await save('meters');
  await page.close();
}

for (const width of widths) {
  for (const scheme of schemes) await shoot(width, scheme);
}
await browser.close();
