// What the Hub's own JavaScript client sees of one repository; prints it as one JSON object.
import * as hub from "@huggingface/hub";
import { createHash } from "node:crypto";

const [hubUrl, repo, path, xet] = process.argv.slice(2);
const seen = {};

async function see(what, look) {
  try {
    seen[what] = await look();
  } catch (error) {
    seen[what] = { status: error.statusCode ?? 0 };
  }
}

async function all(iterable, pick) {
  const list = [];
  for await (const one of iterable) list.push(pick(one));
  return list;
}

const search = { query: repo.split("/")[1] };
await see("models", () => all(hub.listModels({ search, hubUrl }), (one) => one.name));
await see("commit", async () => (await hub.modelInfo({ name: repo, hubUrl, additionalFields: ["sha"] })).sha);
await see("files", () =>
  all(hub.listFiles({ repo, recursive: true, hubUrl }), (one) => [one.path, one.lfs?.oid ?? null]),
);
await see("paths", async () =>
  (await hub.pathsInfo({ repo, paths: [path, "none.bin"], hubUrl })).map((one) => one.lfs.oid),
);
await see("exists", async () => [
  await hub.fileExists({ repo, path, hubUrl }),
  await hub.fileExists({ repo, path: "none.bin", hubUrl }),
]);
await see("sha256", async () => {
  const blob = await hub.downloadFile({ repo, path, hubUrl, xet: xet === "xet" });
  return createHash("sha256").update(Buffer.from(await blob.arrayBuffer())).digest("hex");
});
console.log(JSON.stringify(seen));
