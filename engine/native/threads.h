// Parallel loops on the project's own threads. OpenMP is not used, because MXNet's threads for
// reading and copying have OpenMP teams too. A process then has more OpenMP threads than cores, and
// OpenMP's threads go to sleep, instead of waiting in a loop, at each of the roughly one hundred
// parallel loops of a training step.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>
#include "processor.h"

// The number of threads, from OMP_NUM_THREADS, which engine/cpu.py sets.
inline int threads() {
  static const int count = [] {
    const char* text = std::getenv("OMP_NUM_THREADS");
    return text && std::atoi(text) > 0 ? std::atoi(text) : 1;
  }();
  return count;
}

// The threads that work together with a calling thread. The work of a call has as many parts as
// there are threads. Each thread begins with its own part, whose data stay in its cache from call
// to call, and then takes parts that no other has begun. So no thread waits for one to which a busy
// machine gives no core. Between two calls threads wait in a loop for a while, then sleep.
class Team {
 public:
  Team() : taken_(threads()) {
    for (auto& round : taken_) round.store(0);
    for (int i = 1; i < threads(); i++) std::thread([this, i] { serve(i); }).detach();
  }

  // Call body(data, part) once for each part.
  void run(void (*body)(void*, int), void* data) {
    std::lock_guard<std::mutex> turn(turn_);
    body_ = body, data_ = data;
    left_.store(threads(), std::memory_order_relaxed);
    long round;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round = round_.fetch_add(1, std::memory_order_release) + 1;
    }
    if (asleep_.load()) wake_.notify_all();
    work(0, round);
    for (long i = 0; left_.load(std::memory_order_acquire); i++)
      i < PATIENCE ? pause_in_loop() : std::this_thread::yield();
  }

 private:
  static constexpr long PATIENCE = 30000;  // iterations of the waiting loop, about a millisecond

  // Do the parts of a round that nobody has taken, from a thread's own part on. A thread that comes
  // after the end of the round finds all parts taken.
  void work(int thread, long round) {
    for (int i = 0; i < threads(); i++) {
      int part = (thread + i) % threads();
      long before = round - 1;
      if (!taken_[part].compare_exchange_strong(before, round)) continue;
      body_(data_, part);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  void serve(int thread) {
    flush_denormals();
    for (long done = 0;;) {
      for (long i = 0; round_.load(std::memory_order_acquire) == done && i < PATIENCE; i++)
        pause_in_loop();
      if (round_.load(std::memory_order_acquire) == done) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_++;
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != done; });
        asleep_--;
      }
      done = round_.load(std::memory_order_acquire);
      work(thread, done);
    }
  }

  void (*body_)(void*, int);
  void* data_;
  std::atomic<long> round_{0};
  std::vector<std::atomic<long>> taken_;  // for each part, the last round in which it was taken
  std::atomic<int> left_{0}, asleep_{0};  // parts that are not done, and threads that sleep
  std::mutex turn_, mutex_;
  std::condition_variable wake_;
};

// The one team of the process. Several of MXNet's threads run operators, and they take turns with
// the team: two teams would have more threads than there are cores. It is never destroyed, because
// its threads run until the process ends.
inline Team& team() {
  static Team* one = new Team;
  return *one;
}

// Call body(part) once for each part, of which there are as many as threads; parts run together.
template <class Body>
void on_threads(Body body) {
  flush_denormals();
  if (threads() == 1) return body(0);
  team().run([](void* data, int part) { (*static_cast<Body*>(data))(part); }, &body);
}

// Divide 0..count into equal parts and call body(part, from, to) for each. The parts depend only on
// the number of threads, so sums are the same, bit for bit, in every run with the same number.
template <class Body>
void split(long count, Body body) {
  on_threads([&](int part) {
    long from = count * part / threads(), to = count * (part + 1) / threads();
    if (from < to) body(part, from, to);
  });
}
