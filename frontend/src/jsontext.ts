/**
 * JSON as people read it. The text is laid out anew, never parsed: numbers such as 10E5 or ones of thirty digits stay
 * what was sent.
 */

/** Return JSON with a line for each member; what is no JSON comes back as it is. */
export function indented(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = "";
  let depth = 0;
  const line = (): string => `\n${"  ".repeat(depth)}`;
  for (let place = 0; place < text.length; place += 1) {
    const char = text[place]!;
    if (char === '"') {
      const end = closingQuote(text, place);
      out += text.slice(place, end + 1);
      place = end;
    } else if (char === "{" || char === "[") {
      const next = text.slice(place + 1).match(/^\s*([}\]])/);
      if (next) {
        out += char + next[1];
        place += next[0].length;
      } else {
        depth += 1;
        out += char + line();
      }
    } else if (char === "}" || char === "]") {
      depth -= 1;
      out += line() + char;
    } else if (char === ",") {
      out += char + line();
    } else if (char === ":") {
      out += ": ";
    } else if (!/\s/.test(char)) {
      out += char;
    }
  }
  return out;
}

function closingQuote(text: string, opening: number): number {
  for (let place = opening + 1; place < text.length; place += 1) {
    if (text[place] === "\\") place += 1;
    else if (text[place] === '"') return place;
  }
  return text.length;
}

/** Split a text where a term occurs, in whatever case: every second piece is an occurrence. */
export function occurrences(text: string, term: string): string[] {
  if (!term) return [text];
  const pieces: string[] = [];
  const [low, wanted] = [text.toLowerCase(), term.toLowerCase()];
  let from = 0;
  // Where lower case has another length, places would not be the same in both.
  for (let at = low.length === text.length ? low.indexOf(wanted) : -1; at >= 0; at = low.indexOf(wanted, from)) {
    pieces.push(text.slice(from, at), text.slice(at, at + wanted.length));
    from = at + wanted.length;
  }
  return [...pieces, text.slice(from)];
}
