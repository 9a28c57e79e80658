import type { Server } from 'node:http';
export function startMock(options?: {
  port?: number;
  delay?: number;
  key?: string;
}): Promise<{ server: Server; url: string }>;
