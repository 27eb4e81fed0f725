// Loops over threads of our own. OpenMP's would do, but for what it does where a process has more
// OpenMP threads than cores: MXNet's reading and copying threads have teams too, and then those
// that compute no longer wait for each other in a loop but go to sleep at each of some hundred
// places in a step.
#pragma once
#include <xmmintrin.h>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

inline int threads() {
  static const int count = [] {
    const char* text = std::getenv("OMP_NUM_THREADS");
    return text && std::atoi(text) > 0 ? std::atoi(text) : 1;
  }();
  return count;
}

// Numbers below 1e-38 become zero: on some processors arithmetic with them is many times slower.
inline void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

// The threads that help a calling thread. They look for work in a loop for a while, then sleep.
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
      i < PATIENCE ? _mm_pause() : std::this_thread::yield();
  }

 private:
  static constexpr long PATIENCE = 30000;  // turns of the loop, about a millisecond

  void serve(int thread) {
    flush_denormals();
    for (long done = 0;; done++) {
      for (long i = 0; round_.load(std::memory_order_acquire) == done && i < PATIENCE; i++)
        _mm_pause();
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

// One for all of MXNet's threads, several of which take turns in running operators: more threads
// that compute than there are cores would be in each other's way. Never destroyed: its threads run
// to the end.
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

// Call body(thread, from, to) with equal parts of 0..count. The parts depend only on the number of
// threads, so the same number gives the same sums bit for bit.
template <class Body>
void split(long count, Body body) {
  on_threads([&](int thread) {
    long from = count * thread / threads(), to = count * (thread + 1) / threads();
    if (from < to) body(thread, from, to);
  });
}
