// BullMQ on node, by the protocol of protocol.py; it runs in the folder that has its node_modules.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const { Queue, Worker } = require("bullmq");
const IORedis = require("ioredis");

const PAYLOAD = {
  at: 0,
  to: "guest.of.the.spring.meeting@example.org",
  ticket: "0123456789ABCDEFGHJKMNPQRS",
  subject: "Your ticket for the spring meeting is here",
};
const TOGETHER = 1000;
const WARM = 50;
const PAUSE_MS = 20;
const DELAY_MS = 1000;

const now = () => Number(process.hrtime.bigint() / 1000n);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const answer = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);
const seconds = (start) => (now() - start) / 1e6;

async function produce(connection) {
  const queue = new Queue("benchmark", { connection });
  queue.on("error", () => {});
  const calls = {
    async single(count) {
      const these = Math.min(count, 100);
      for (let i = 0; i < these; i++) await queue.add("noop", PAYLOAD);
      return these;
    },
    async gather(count) {
      const these = Math.min(count, TOGETHER);
      await Promise.all(Array.from({ length: these }, () => queue.add("noop", PAYLOAD)));
      return these;
    },
    async bulk(count) {
      const these = Math.min(count, TOGETHER);
      await queue.addBulk(Array.from({ length: these }, () => ({ name: "noop", data: PAYLOAD })));
      return these;
    },
    async idle() {
      await sleep(PAUSE_MS);
      await queue.add("noop", { ...PAYLOAD, at: now() });
      return 1;
    },
    async delayed() {
      await sleep(PAUSE_MS);
      await queue.add("noop", { ...PAYLOAD, at: now() + 1000 * DELAY_MS }, { delay: DELAY_MS });
      return 1;
    },
  };
  for (let i = 0; i < WARM; i++) await queue.add("noop", PAYLOAD);
  answer({ count: WARM });
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const start = now();
    let count = 0;
    while (count < asked.count && seconds(start) < asked.limit) {
      count += await calls[asked.call](asked.count - count);
    }
    answer({ count, seconds: seconds(start) });
  }
  process.exit(0);
}

async function work(connection, concurrency) {
  let starts = [];
  let ages = [];
  const handler = async (job) => {
    const start = now();
    if (job.data.at) ages.push(start - job.data.at);
    starts.push(start);
  };
  const worker = new Worker("benchmark", handler, { connection, concurrency });
  worker.on("error", () => {});
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const begun = now();
    while (starts.length < asked.count && seconds(begun) < asked.limit) await sleep(20);
    const taken = starts.length ? (starts.at(-1) - starts[0]) / 1e6 : 0;
    answer({ count: starts.length, seconds: taken, ages });
    starts = [];
    ages = [];
  }
  process.exit(0);
}

const [role, url, concurrency] = process.argv.slice(2);
const connection = new IORedis(url.replace("unix://", ""), { maxRetriesPerRequest: null });
await (role === "produce" ? produce(connection) : work(connection, Number(concurrency)));
