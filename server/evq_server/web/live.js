// A job's live progress: a WebSocket that comes back by itself and asks only for what it has not seen.

import { key } from "./server.js";

const UNKNOWN_JOB = 4404;
const FINAL = new Set(["completed", "failed", "cancelled"]);

// Calls onFrame for each frame, onLost while there is no connection, onUnknown when there is no such job.
// Returns a function that ends the watching.
export function watch(path, { onFrame, onLost, onUnknown }) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let socket, timer, failures = 0, over = false;

  function connect() {
    socket = new WebSocket(url, ["evq.progress", `bearer.${key.get()}`]);
    socket.onmessage = (message) => {
      failures = 0;
      const frame = JSON.parse(message.data);
      url.searchParams.set("after", frame.seq);
      over = FINAL.has(frame.event);
      onFrame(frame);
    };
    socket.onclose = (event) => {
      if (over) return;
      if (event.code === UNKNOWN_JOB) return onUnknown();
      onLost();
      const delay = Math.min(10_000, 250 * 2 ** failures++);
      timer = setTimeout(connect, delay * (0.5 + Math.random() / 2));
    };
  }

  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    socket.close();
  };
}
