// The built page in a real browser, against the real server with the demo pair.
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { defaultSampling } from '../../src/api/request';
import { SseParser } from '../../src/api/sse';
import { parseRound, type TraceRound } from '../../src/api/trace';
import { startMockServer, startServer, type TestServer } from './server';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
// Drafts whatever the machine, and the same trees each time.
const kMethod = 'gumbel-beam';

let server: TestServer;
let browser: Browser;
let page: Page;
let folder: string;
let complaints: string[] = [];

async function openPage(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const p = await context.newPage();
  p.setDefaultTimeout(10_000);
  p.on('console', (m) => {
    if (m.type() === 'error' || m.type() === 'warning') complaints.push(m.text());
  });
  p.on('pageerror', (error) => complaints.push(error.message));
  return p;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gumbelspec-web-'));
  server = await startServer();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  complaints = [];
  page = await openPage();
  await page.goto(server.url);
  await page.locator('.server-note.ready').waitFor();
});

afterEach(async () => {
  await page.context().close();
  expect(complaints).toEqual([]);
});

async function write(nTokens = 60, method = kMethod): Promise<void> {
  await page.locator('.prompt-card').getByLabel('Tokens', { exact: true }).fill(String(nTokens));
  await page.locator('.prompt-card select').selectOption(method);
  await page.getByRole('button', { name: 'Continue the text' }).click();
}

async function writeToEnd(nTokens = 60, method = kMethod): Promise<void> {
  await write(nTokens, method);
  await page.locator('.ending', { hasText: 'Seed 7' }).waitFor();
}

// The page follows the address a moment after the click: keys pressed before that go to the old view.
async function show(name: RegExp, p = page): Promise<void> {
  const link = p.getByRole('navigation').getByRole('link', { name });
  await link.click();
  await link.and(p.locator('[aria-current=page]')).waitFor();
}

async function showFirstRound(): Promise<void> {
  await show(/Watch/);
  await page.keyboard.press('Home');
  await page.getByRole('heading', { name: /^Round 0 / }).waitFor();
}

// What the server says to a program that asks the same.
async function rounds(nTokens: number, method = kMethod): Promise<{ text: string; rounds: TraceRound[] }> {
  const response = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    body: JSON.stringify({
      prompt: 'The old house',
      seed: 7,
      temperature: defaultSampling.temperature,
      top_p: defaultSampling.top_p,
      max_tokens: nTokens,
      method,
      stream: true,
      gumbelspec_trace: true,
    }),
  });
  const chunks = new SseParser()
    .push(await response.text())
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data));
  return {
    text: chunks.map((c) => c.choices?.[0]?.text ?? '').join(''),
    rounds: chunks.filter((c) => c.gumbelspec_trace).map((c) => parseRound(c.gumbelspec_trace)),
  };
}

const shownText = (p = page) => p.locator('.view:not([hidden]) .tokens').first().textContent();

test('the text on the page is the one that the server gives for the seed', async () => {
  const expected = await rounds(60);
  await writeToEnd(60);
  expect(await shownText()).toBe(expected.text);
  const drafted = expected.rounds.flatMap((r) => r.tokens).filter((t) => t.drafted).length;
  expect(drafted).toBeGreaterThan(0);
  expect(await page.locator('.output-card .t.accepted').count()).toBe(drafted);
});

test('stopping ends the text and frees the server', async () => {
  // As soon as there is a token: the demo pair would be done before a hand is at the button.
  await page.evaluate(() => {
    new MutationObserver((_, observer) => {
      if (document.querySelector('.output-card .t') === null) return;
      observer.disconnect();
      document.querySelector<HTMLElement>('button.stop')!.click();
    }).observe(document.querySelector('.output-card')!, { subtree: true, childList: true });
  });
  await write(4000, 'ar');
  await page.getByText('Stopped.').waitFor();
  expect(await page.locator('.output-card .t').count()).toBeLessThan(900);
  await expect
    .poll(async () => (await fetch(`${server.url}/metrics`)).text())
    .toContain('gumbelspec:texts_active 0');
});

test('pointing at a token tells depth, margin and round; keys do the same and open the tree', async () => {
  await writeToEnd(40);
  const tokens = page.locator('.output-card .t.accepted');
  await tokens.first().hover();
  const tip = page.locator('.output-card .tip');
  expect(await tip.textContent()).toMatch(/accepted, depth \d+ · margin [\d.∞]+ · round \d+/);
  await page.mouse.move(0, 0);
  await page.getByRole('group', { name: /Generated text/ }).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  expect(await tip.isVisible()).toBe(true);
  const round = /round (\d+)/.exec((await tip.textContent())!)![1];
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: new RegExp(`^Round ${round} `) }).waitFor();
});

test('the tree of every round is the one of the trace', async () => {
  const expected = (await rounds(30)).rounds;
  await writeToEnd(30);
  await showFirstRound();
  for (const round of expected) {
    await page.getByRole('heading', { name: new RegExp(`^Round ${round.round} `) }).waitFor();
    const nodes = await page.locator('.tree-panel .node').evaluateAll((all) =>
      all.map((n) => ({
        token: Number(n.getAttribute('data-token')),
        level: Number(n.getAttribute('aria-level')) - 1,
        kind: n.getAttribute('class')!.split(' ')[1],
        key: n.getAttribute('data-key'),
      })),
    );
    const path = new Set(round.path);
    const wanted = round.nodes.map((n, i) => ({
      token: n.token,
      level: n.depth,
      kind: i === 0 ? 'root' : path.has(n.id) ? 'accepted' : 'rejected',
      key: String(n.id),
    }));
    const byKey = (a: { key: string | null }, b: { key: string | null }) => Number(a.key) - Number(b.key);
    expect(nodes.filter((n) => n.key !== 'own').sort(byKey)).toEqual(wanted.sort(byKey));
    const own = round.tokens.findLast((t) => !t.drafted);
    expect(nodes.find((n) => n.key === 'own')?.token).toBe(own?.token);
    await page.keyboard.press('ArrowRight');
  }
});

test('rounds play by themselves until the last', async () => {
  await writeToEnd(20);
  await show(/Watch/);
  await page.locator('.transport select').selectOption('30');
  await page.getByRole('button', { name: 'Play' }).click();
  await page.getByRole('button', { name: 'Play' }).waitFor(); // it was "Pause" in between
  const slider = page.getByRole('slider', { name: 'Round' });
  await expect.poll(() => slider.inputValue()).toBe(await slider.getAttribute('max'));
});

test('a round is exported as a picture, a session as a file that opens without a server', async () => {
  await writeToEnd(30);
  const text = await shownText();
  await showFirstRound();
  const nodes = await page.locator('.tree-panel .node').count();
  const [picture] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Round as SVG' }).click(),
  ]);
  const svg = readFileSync((await picture.path())!, 'utf8');
  expect(picture.suggestedFilename()).toMatch(/\.svg$/);
  expect(svg.match(/data-kind=/g)).toHaveLength(nodes);

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save session' }).click(),
  ]);
  const file = join(folder, download.suggestedFilename());
  await download.saveAs(file);

  const offline = await openPage();
  await offline.goto(pathToFileURL(join(dist, 'index.html')).href);
  await offline.getByText('no server').waitFor();
  await offline.locator('input[type=file]').setInputFiles(file);
  await offline.locator('.tree-panel .node').first().waitFor();
  expect(await offline.locator('.tree-panel .node').count()).toBe(nodes);
  await show(/Write/, offline);
  expect(await shownText(offline)).toBe(text);
  await offline.context().close();
});

test('a file that is no session is refused with the reason', async () => {
  const file = join(folder, 'not.json');
  writeFileSync(file, '{"format": "something else"}');
  await show(/Watch/);
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByRole('alert').getByText('not.json: the file is not a saved session').waitFor();
});

for (const order of ['One after the other', 'At the same time']) {
  test(`a race ends with identical texts: ${order.toLowerCase()}`, async () => {
    await show(/Race/);
    await page.locator('.race-form').getByLabel('Tokens', { exact: true }).fill('40');
    await page.locator('.lane select').last().selectOption(kMethod);
    await page.getByRole('radio', { name: order }).check();
    await page.getByRole('button', { name: 'Start the race' }).click();
    await page.locator('.result.same').waitFor();
    const texts = await page.locator('.lane .tokens').allTextContents();
    expect(texts[0]).not.toBe('');
    expect(texts[1]).toBe(texts[0]);
    expect(await page.locator('.lane').first().locator('.t.accepted').count()).toBe(0);
    expect(await page.locator('.lane').last().locator('.t.accepted').count()).toBeGreaterThan(0);
  });
}

test('a chat goes on with what was said', async () => {
  await page.getByRole('radio', { name: 'Chat' }).check();
  await page.locator('.prompt-card').getByLabel('Tokens', { exact: true }).fill('12');
  await page.getByLabel('Your message').fill('Who lived here?');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.ending', { hasText: 'Seed 7' }).waitFor();
  const first = await shownText();
  await page.getByLabel('Your message').fill('And then?');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.locator('.turns li').nth(2).waitFor();
  expect(await page.locator('.turns li').allTextContents()).toEqual([
    'Who lived here?',
    first,
    'And then?',
  ]);
});

test('what the server refuses is said in its words', async () => {
  await page.locator('.prompt-card select').selectOption('');
  await page.getByLabel('name and shape').first().fill('no-such-method');
  await page.getByRole('button', { name: 'Continue the text' }).click();
  expect(await page.locator('.output-card [role=alert]').textContent()).toContain('no-such-method');
  // The browser notes the refusal by itself.
  complaints = complaints.filter((c) => !c.includes('400'));
});

test('a server with a key is asked with one', async () => {
  const locked = await startMockServer('secret');
  const p = await openPage();
  await p.goto(locked.url);
  await p.getByLabel('API key').fill('secret');
  await p.getByRole('button', { name: 'Use this key' }).click();
  await p.locator('.server-name', { hasText: 'mock' }).waitFor();
  expect(await p.evaluate(() => Object.keys(localStorage))).toEqual([]);
  await p.context().close();
  await locked.stop();
  complaints = complaints.filter((c) => !c.includes('401'));
});

// Without headers of its own a page may send text to any server; names can be made to point here.
test('a page of another origin makes the server do nothing', async (context) => {
  if (server.isMock) return context.skip();
  const foreign = createServer((_, response) => response.end('<!doctype html>'));
  await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}`;
  const generated = async () =>
    /^gumbelspec:generation_tokens_total (\d+)/m.exec(await (await fetch(`${server.url}/metrics`)).text())![1];
  const before = await generated();
  const visitor = await browser.newPage();
  await visitor.goto(url);
  const sent = await visitor.evaluate(async (target) => {
    const body = JSON.stringify({ prompt: 'The old house', max_tokens: 8 });
    const results: string[] = [];
    // Bodies that a browser sends without asking first.
    for (const path of ['/v1/completions', '/completion', '/tokenize', '/api/generate']) {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
        const asked = await fetch(target + path, {
          method: 'POST', mode: 'no-cors', headers: { 'Content-Type': type }, body });
        results.push(asked.type);
      }
      navigator.sendBeacon(target + path, body);
      const json = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body };
      results.push(await fetch(target + path, json).then(() => 'read', () => 'refused'));
    }
    results.push(await fetch(`${target}/v1/models`).then(() => 'read', () => 'refused'));
    return [...new Set(results.slice(0, 3)), ...new Set(results.filter((r) => r !== 'opaque'))];
  }, server.url);
  expect(sent).toEqual(['opaque', 'refused']);
  expect(await generated()).toBe(before);
  await visitor.close();
  await new Promise((resolve) => foreign.close(resolve));
});

test('a name that is made to point here is no way in', async (context) => {
  if (server.isMock) return context.skip();
  const visited = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--host-resolver-rules=MAP rebound.example 127.0.0.1'],
  });
  const visitor = await visited.newPage();
  const url = server.url.replace('127.0.0.1', 'rebound.example');
  expect((await visitor.goto(url))!.status()).toBe(403);
  // The page is of the same origin now, as the browser sees it, and may read what comes.
  const answers = await visitor.evaluate(async () => {
    const json = { method: 'POST', headers: { 'Content-Type': 'application/json' },
                   body: JSON.stringify({ prompt: 'The old house', max_tokens: 8 }) };
    const posted = await fetch('/v1/completions', json);
    const read = await fetch('/v1/models');
    return [posted.status, read.status, (await posted.text()).includes('choices')];
  });
  expect(answers).toEqual([403, 403, false]);
  await visited.close();
});

test('the meters show what the server counts', async () => {
  await writeToEnd(30);
  await show(/Meters/);
  await page.locator('.bars li').first().waitFor();
  const tile = page.locator('.tile', { hasText: 'Tokens per pass' }).locator('dd');
  await expect.poll(() => tile.textContent()).toMatch(/^\d+\.\d\d/);
});

test('a chat shows thoughts folded and calls of tools, which are sent back and not made', async () => {
  const mock = await startMockServer();
  const sent: Record<string, unknown>[] = [];
  const p = await openPage({ bypassCSP: true }); // for axe
  p.on('request', (r) => {
    if (r.url().endsWith('/chat/completions')) sent.push(r.postDataJSON());
  });
  await p.goto(mock.url);
  await p.locator('.server-note.ready').waitFor();
  await p.getByRole('radio', { name: 'Chat' }).check();
  const card = p.locator('.prompt-card');
  await card.getByText('Tools', { exact: true }).click();
  const tools = card.getByLabel(/^Tools that an answer may call/);
  await tools.fill('[{');
  await card.getByLabel('Your message').fill('think of the weather');
  await card.getByRole('button', { name: 'Send' }).click();
  await card.getByRole('alert').getByText('The tools are not JSON.').waitFor();
  const tool = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } };
  await tools.fill(JSON.stringify([tool]));
  await card.getByRole('button', { name: 'Send' }).click();
  const output = p.locator('.output-card');
  await output.locator('.ending', { hasText: 'Seed 7' }).waitFor();
  expect(await card.getByRole('alert').count()).toBe(0);
  const thoughts = output.locator('.thoughts');
  expect(await thoughts.locator('summary').textContent()).toBe('Thought (6 words)');
  expect(await thoughts.locator('p').isVisible()).toBe(false);
  await thoughts.locator('summary').click();
  expect(await thoughts.locator('p').textContent()).toBe('First I look at the house.');
  expect(await thoughts.locator('p').isVisible()).toBe(true);
  const call = output.locator('.calls li');
  expect(await call.locator('code').textContent()).toBe('weather');
  expect(JSON.parse((await call.locator('pre').textContent())!)).toEqual({ city: 'Bern' });
  expect(await violations(p)).toEqual([]);
  if (process.env.SCREENSHOTS) await p.screenshot({ path: `${process.env.SCREENSHOTS}/tools.png`, fullPage: true });
  await card.getByLabel('Your message').fill('and now?');
  await card.getByRole('button', { name: 'Send' }).click();
  await expect.poll(() => sent.length).toBe(2);
  expect(sent[0]!.tools).toEqual([tool]);
  expect((sent[1]!.messages as Record<string, unknown>[])[1]).toMatchObject({
    role: 'assistant',
    tool_calls: [{ type: 'function', id: 'call0', function: { name: 'weather', arguments: '{"city": "Bern"}' } }],
  });
  await p.context().close();
  await mock.stop();
});

test('the page loads under 300 kB, and runs nothing but its own files', async () => {
  let bytes = 0;
  const p = await openPage();
  const client = await p.context().newCDPSession(p);
  await client.send('Network.enable');
  client.on('Network.loadingFinished', (e) => (bytes += e.encodedDataLength));
  const response = await p.goto(server.url, { waitUntil: 'networkidle' });
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(300_000);
  const policy = response!.headers()['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  await p.context().close();
});

interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary?: string }[];
}

// The rules of WCAG 2.2 A and AA, and axe's own good practice.
async function violations(p: Page): Promise<string[]> {
  const found = (await p.evaluate(`(async () => {
    ${axeSource};
    return (await axe.run(document)).violations;
  })()`)) as Violation[];
  return found.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.failureSummary ?? n.html).join(' | ')}`);
}

for (const [width, colorScheme] of [
  [320, 'light'],
  [1280, 'dark'],
] as const) {
  test(`every view is accessible and fits: ${width} px, ${colorScheme}`, async () => {
    await page.context().close();
    page = await openPage({
      colorScheme,
      viewport: { width, height: 800 },
      reducedMotion: 'reduce',
      bypassCSP: true, // for axe, which is put in by hand
    });
    await page.goto(server.url);
    await page.locator('.server-note.ready').waitFor();
    await writeToEnd(24);
    for (const name of [/Write/, /Watch/, /Race/, /Meters/]) {
      await show(name);
      if (name.source === 'Meters') await page.locator('.bars li').first().waitFor();
      expect(await violations(page), name.source).toEqual([]);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, name.source).toBeLessThanOrEqual(0);
    }
  });
}
