#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

// What takes the C library's own types: sockets, threads, times.

/// An event base that another thread may end; NULL where there is no memory or descriptor for it.
static inline struct event_base *sluice_event_base(void) {
  return evthread_use_pthreads() == 0 ? event_base_new() : NULL;
}

/// Listens on an IPv4 address (four bytes in network order) and port, 0 for any; NULL where it cannot. `bound` is the
/// port it got.
static inline struct evconnlistener *sluice_event_listen(
    struct event_base *base, const uint8_t address[4], uint16_t port, uint16_t *bound) {
  struct sockaddr_in place;
  memset(&place, 0, sizeof place);
  place.sin_family = AF_INET;
  place.sin_port = htons(port);
  memcpy(&place.sin_addr, address, 4);
  struct evconnlistener *listener = evconnlistener_new_bind(
      base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 16,
      (struct sockaddr *)&place, sizeof place);
  if (listener == NULL) return NULL;
  socklen_t size = sizeof place;
  if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&place, &size) != 0) {
    evconnlistener_free(listener);
    return NULL;
  }
  *bound = ntohs(place.sin_port);
  return listener;
}

/// Has an event fire once, in `milliseconds`.
static inline void sluice_event_after(struct event *event, long milliseconds) {
  struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
  event_add(event, &time);
}

static inline void *sluice_event_run(void *base) {
  event_base_loop((struct event_base *)base, EVLOOP_NO_EXIT_ON_EMPTY);
  return NULL;
}

/// Runs the events of a base on a thread of its own, whose name is left in `thread`; false where there can be none.
static inline int sluice_event_start(struct event_base *base, uint64_t *thread) {
  pthread_t made;
  if (pthread_create(&made, NULL, sluice_event_run, base) != 0) return 0;
  *thread = (uint64_t)made;
  return 1;
}

/// Ends that thread after the event it is at, and waits for it.
static inline void sluice_event_stop(struct event_base *base, uint64_t thread) {
  event_base_loopexit(base, NULL);
  pthread_join((pthread_t)thread, NULL);
}
