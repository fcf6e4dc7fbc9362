// Everything said to the server, and the key it asks for.

import { text } from "./texts.js";

export const key = {
  get: () => sessionStorage.getItem("evq.key"),
  set: (value) => sessionStorage.setItem("evq.key", value),
  forget: () => sessionStorage.removeItem("evq.key"),
};

export class ServerError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function request(path, { method = "GET", body } = {}) {
  const headers = { Authorization: `Bearer ${key.get()}` };
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new ServerError(0, text("unreachable"));
  }
  if (!response.ok) throw new ServerError(response.status, detailOf(await response.text()));
  return response;
}

export const getJson = async (path) => (await request(path)).json();

// The first lines of a text, about `limit` bytes of it.
export async function getHead(path, limit) {
  const reader = (await request(path)).body.pipeThrough(new TextDecoderStream()).getReader();
  let head = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return head;
    head += value;
    if (head.length >= limit) {
      await reader.cancel();
      return head.slice(0, head.lastIndexOf("\n") + 1);
    }
  }
}

// The file itself is the body: `fetch` would tell nothing of how much has been sent.
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", path);
    xhr.setRequestHeader("Authorization", `Bearer ${key.get()}`);
    xhr.setRequestHeader("Content-Type", file.type || "application/octet-stream");
    xhr.upload.onprogress = (event) => onProgress(event.loaded / (event.total || 1));
    xhr.onload = () =>
      xhr.status === 202 ? resolve(JSON.parse(xhr.responseText)) : reject(new ServerError(xhr.status, detailOf(xhr.responseText)));
    xhr.onerror = () => reject(new ServerError(0, text("uploadBroken")));
    xhr.send(file);
  });
}

export async function download(path, name) {
  const url = URL.createObjectURL(await (await request(path)).blob());
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function detailOf(body) {
  try {
    return JSON.parse(body).detail;
  } catch {
    return text("unreachable");
  }
}
