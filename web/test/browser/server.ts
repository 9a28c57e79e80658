// The server under test: the program named by GUMBELSPEC_PROGRAM with the demo pair; without it the
// mock, which serves the same stream.
import { spawn, type ChildProcess } from 'node:child_process';

import { startMock } from '../../mock/server.mjs';

export interface TestServer {
  url: string;
  isMock: boolean;
  stop(): Promise<void>;
}

export const program = process.env.GUMBELSPEC_PROGRAM ?? '';

export async function startServer(...options: string[]): Promise<TestServer> {
  if (program === '') return startMockServer();
  const child = spawn(program, ['serve', '--host', '127.0.0.1', '--port', '0', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const url = await urlOf(child);
  await untilReady(url);
  return { url, isMock: false, stop: () => end(child) };
}

export async function startMockServer(key = ''): Promise<TestServer> {
  const { server, url } = await startMock({ port: 0, delay: 4, key });
  return {
    url,
    isMock: true,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

// The program says where it listens.
function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr!.on('data', (part: Buffer) => {
      said += part.toString();
      const match = /https?:\/\/[\w.:[\]]+:\d+/.exec(said);
      if (match) resolve(match[0]);
    });
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
}

async function untilReady(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/health`).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
