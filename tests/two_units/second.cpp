#include "all.hpp"

const void* pool_of_second() { return &ventral::cpu::detail::ThreadPool::instance(); }
int threads_of_second() { return ventral::cpu::threads(); }
