// Read the first records of a CSV text (RFC 4180).

export function readCsv(source, limit) {
  const records = [];
  let record = [], cell = "", quoted = false;
  const text = source.replace(/^\uFEFF/, "");
  for (let i = 0; i < text.length && records.length < limit; i++) {
    const character = text[i];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[i + 1] === '"') cell += text[i++];
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") record.push(cell), (cell = "");
    else if (character === "\n") records.push([...record, cell]), (record = []), (cell = "");
    else if (character !== "\r") cell += character;
  }
  if (records.length < limit && (cell || record.length)) records.push([...record, cell]);
  return records;
}
