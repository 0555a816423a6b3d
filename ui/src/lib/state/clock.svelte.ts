/** The present, moved on twice a minute, so that 'now' and 'Yesterday' do not go stale on screen. */
class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      this.now = Date.now();
    }, 30_000);
  }
}

export const clock = new Clock();
