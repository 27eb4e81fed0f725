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
#include "processor.h"

// The number of threads, from OMP_NUM_THREADS, which engine/cpu.py sets.
inline int threads() {
  static const int count = [] {
    const char* text = std::getenv("OMP_NUM_THREADS");
    return text && std::atoi(text) > 0 ? std::atoi(text) : 1;
  }();
  return count;
}

// The threads that work together with a calling thread. Between two calls they wait in a loop for a
// while, then sleep.
class Team {
 public:
  Team() {
    for (int i = 1; i < threads(); i++) std::thread([this, i] { serve(i); }).detach();
  }

  // Call body(data, thread) once on each thread.
  void run(void (*body)(void*, int), void* data) {
    std::lock_guard<std::mutex> turn(turn_);
    body_ = body, data_ = data;
    left_.store(threads() - 1, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_.fetch_add(1, std::memory_order_release);
    }
    if (asleep_.load()) wake_.notify_all();
    body(data, 0);
    for (long i = 0; left_.load(std::memory_order_acquire); i++)
      i < PATIENCE ? pause_in_loop() : std::this_thread::yield();
  }

 private:
  static constexpr long PATIENCE = 30000;  // iterations of the waiting loop, about a millisecond

  void serve(int thread) {
    flush_denormals();
    for (long done = 0;; done++) {
      for (long i = 0; round_.load(std::memory_order_acquire) == done && i < PATIENCE; i++)
        pause_in_loop();
      if (round_.load(std::memory_order_acquire) == done) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_++;
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != done; });
        asleep_--;
      }
      body_(data_, thread);
      left_.fetch_sub(1, std::memory_order_release);
    }
  }

  void (*body_)(void*, int);
  void* data_;
  std::atomic<long> round_{0};
  std::atomic<int> left_{0}, asleep_{0};
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

// Call body(thread) once on each thread.
template <class Body>
void on_threads(Body body) {
  flush_denormals();
  if (threads() == 1) return body(0);
  team().run([](void* data, int thread) { (*static_cast<Body*>(data))(thread); }, &body);
}

// Divide 0..count into equal parts and call body(thread, from, to) for each part on its thread. The
// parts depend only on the number of threads, so sums are the same, bit for bit, in every run with
// the same number.
template <class Body>
void split(long count, Body body) {
  on_threads([&](int thread) {
    long from = count * thread / threads(), to = count * (thread + 1) / threads();
    if (from < to) body(thread, from, to);
  });
}
