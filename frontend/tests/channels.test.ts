import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { channelsAddress, eventChannels, eventsRequest, hasHole, paced } from "../src/channels";

const all = { source: null, device: null, contains: null, undecodable: null, before: null };

describe("channels", () => {
  test("are at the gateway that the page came from, encrypted where the page is", () => {
    expect(channelsAddress({ protocol: "http:", host: "127.0.0.1:8080" })).toBe(
      "ws://127.0.0.1:8080/connection/websocket",
    );
    expect(channelsAddress({ protocol: "https:", host: "plant.example" })).toBe(
      "wss://plant.example/connection/websocket",
    );
  });

  test("of a search are those of its source or device, else of every source", () => {
    const sources = ["gate", "shelf"];
    expect(eventChannels(all, sources)).toEqual(["events:gate", "events:shelf"]);
    expect(eventChannels({ source: "gate", device: "g-1" }, sources)).toEqual(["events:gate"]);
    expect(eventChannels({ source: null, device: "g-1" }, sources)).toEqual(["device:g-1"]);
  });

  test("are none where there would be more than one connection may have: such a page goes on asking", () => {
    const many = Array.from({ length: 101 }, (_, place) => `s${place}`);
    expect(eventChannels(all, many)).toEqual([]);
    expect(eventChannels(all, many.slice(1))).toHaveLength(100);
  });

  test("have a hole unless everything that was missed was sent", () => {
    expect(hasHole({ wasRecovering: false, recovered: false })).toBe(true);
    expect(hasHole({ wasRecovering: true, recovered: false })).toBe(true);
    expect(hasHole({ wasRecovering: true, recovered: true })).toBe(false);
  });

  test("a search of the address is asked in the types that the gateway wants", () => {
    expect(eventsRequest({ ...all, undecodable: "true", before: "17", contains: "7" }, 50)).toEqual({
      source: null, device: null, contains: "7", undecodable: true, before: 17, limit: 50,
    });
    expect(eventsRequest(all, 5)).toMatchObject({ undecodable: false, before: null });
  });
});

describe("a paced look", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("is taken at once, and a thousand calls meanwhile are one more", async () => {
    let looks = 0;
    const look = paced(async () => void (looks += 1), 100);
    for (let call = 0; call < 1_000; call += 1) look.call();
    expect(looks).toBe(1);
    await vi.advanceTimersByTimeAsync(99);
    expect(looks).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(looks).toBe(2);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(looks).toBe(2);
    look.call();
    expect(looks).toBe(3);
  });

  test("is never taken twice at a time, and what was asked for during one is not lost", async () => {
    let looks = 0;
    let done = (): void => undefined;
    const look = paced(() => {
      looks += 1;
      return new Promise((resolve) => (done = resolve));
    }, 100);
    look.call();
    look.call();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(looks).toBe(1);
    done();
    await vi.advanceTimersByTimeAsync(100);
    expect(looks).toBe(2);
  });

  test("is not taken after it was stopped", async () => {
    let looks = 0;
    const look = paced(async () => void (looks += 1), 100);
    look.call();
    look.call();
    await vi.advanceTimersByTimeAsync(10);
    look.stop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(looks).toBe(1);
  });
});
