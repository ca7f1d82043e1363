// A sound from the microphone, where the browser has one for this page.

import { part, say } from "./tools.js";

const LONGEST = 60_000; // milliseconds
export const canRecord = () => Boolean(window.MediaRecorder && navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
let recorder = null;

export async function record(done) {
  if (recorder) { recorder.stop(); return; }
  try {
    const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    const blocks = [];
    const running = new MediaRecorder(sound);
    const end = setTimeout(() => running.stop(), LONGEST);
    running.addEventListener("dataavailable", (event) => blocks.push(event.data));
    running.addEventListener("stop", () => {
      clearTimeout(end);
      sound.getTracks().forEach((track) => track.stop());
      recorder = null;
      pressed(false);
      const type = (running.mimeType || "audio/webm").split(";")[0];
      done(new File(blocks, "the recorded sound", { type }));
    });
    running.start();
    recorder = running;
    pressed(true);
    say("said", "Recording. It ends with the same button, or after a minute.");
  } catch (error) { say("said", `no sound can be recorded here: ${error.message}`, true); }
}

function pressed(on) {
  part("record").setAttribute("aria-pressed", String(on));
  part("record").textContent = on ? "Stop recording" : "Record a sound";
}
