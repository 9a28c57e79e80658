// Frames while a 500-token session streams, is watched live, and is played back: the gaps between
// animation frames, and the page's work from the browser's own trace.
//
//   node test/smoothness.mjs URL [METHOD]
import { chromium } from 'playwright-core';

const url = process.argv[2];
const method = process.argv[3] ?? 'gumbel-beam';
if (!url) throw new Error('usage: node test/smoothness.mjs URL [METHOD]');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
await page.goto(url);
await page.locator('.server-note.ready').waitFor();

async function measure(name, act) {
  await page.evaluate(() => {
    const state = (window.frames_ = { gaps: [], long: 0, isOn: true });
    let last = performance.now();
    const tick = (now) => {
      state.gaps.push(now - last);
      last = now;
      if (state.isOn) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    state.observer = new PerformanceObserver((list) => (state.long += list.getEntries().length));
    state.observer.observe({ type: 'longtask' });
  });
  await browser.startTracing(page, {
    categories: ['devtools.timeline', 'disabled-by-default-devtools.timeline', '__metadata'],
  });
  await page.evaluate(() => (window.frames_.gaps.length = 0));
  const began = Date.now();
  await act();
  const seconds = (Date.now() - began) / 1000;
  await page.evaluate(() => (window.frames_.isOn = false));
  const trace = JSON.parse((await browser.stopTracing()).toString());
  const { gaps, long } = await page.evaluate(() => {
    const state = window.frames_;
    state.observer.disconnect();
    return { gaps: state.gaps.slice(1), long: state.long };
  });
  report(name, seconds, gaps, long, trace.traceEvents);
}

// Processor time of each task of the page's main thread, ms, ascending. It is the page's share of a
// frame, also where other programs take the processor away.
function mainThreadTasks(events) {
  const all = events.filter((e) => e.name === 'RunTask' && e.ph === 'X' && e.tdur !== undefined);
  const threads = events
    .filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain')
    .map((thread) => all.filter((e) => e.pid === thread.pid && e.tid === thread.tid));
  const main = threads.sort((a, b) => b.length - a.length)[0] ?? [];
  return main.map((e) => e.tdur / 1000).sort((a, b) => a - b);
}

function report(name, seconds, gaps, long, events) {
  const sorted = [...gaps].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  const tasks = mainThreadTasks(events);
  const busy = tasks.reduce((sum, ms) => sum + ms, 0) / 1000;
  const frame = 1000 / 60;
  const late = gaps.filter((ms) => ms > 25).length;
  console.log(
    [
      name.padEnd(28),
      `${(gaps.length / seconds).toFixed(1)} frames/s over ${seconds.toFixed(1)} s`,
      `gap p50 ${at(0.5).toFixed(1)} p99 ${at(0.99).toFixed(1)} max ${at(1).toFixed(1)} ms`,
      `${late} of ${gaps.length} over 25 ms`,
      `page's thread ${((100 * busy) / seconds).toFixed(0)} % of a core, longest task ` +
        `${(tasks.at(-1) ?? NaN).toFixed(1)} ms, ${tasks.filter((ms) => ms > frame).length} over a frame`,
      `${long} long tasks`,
    ].join('; '),
  );
}

async function write() {
  await page.getByRole('link', { name: 'Write' }).click();
  await page.getByLabel('Tokens', { exact: true }).first().fill('500');
  await page.locator('.prompt-card select').selectOption(method);
  await page.getByRole('button', { name: 'Continue the text' }).click();
}
const ended = () => page.locator('.primary.stop').waitFor({ state: 'detached', timeout: 120_000 });

await measure('Write, 500 tokens', async () => {
  await write();
  await ended();
});
await measure('Watch live, 500 tokens', async () => {
  await write();
  await page.getByRole('link', { name: /Watch/ }).click();
  await page.locator('.live').waitFor();
  await page.locator('.live').waitFor({ state: 'detached', timeout: 120_000 });
});
await measure('Play back, 30 rounds/s', async () => {
  await page.getByLabel('Speed').selectOption('30');
  await page.getByRole('button', { name: 'Play' }).click();
  await page.waitForTimeout(5000);
});
await browser.close();
