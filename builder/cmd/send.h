/*
 * send.h - hod push and hod build --push: an image of the store to a registry
 */
#ifndef HOD_CMD_SEND_H
#define HOD_CMD_SEND_H

#include <stddef.h>

struct app;
struct descriptor;
struct error;
struct manifest;
struct reference;
struct store;

/* Pushes to ref and says on stderr what moved.  Layers that are not in the store come
 * from origins and from where the store's own images with such layers came from. */
int send_image(struct app *app, const struct reference *ref, const struct manifest *m,
	       const struct descriptor *desc, const struct reference *origins,
	       size_t norigins, struct error *err);
/* Prints "NAME@sha256:..." of what was pushed on stdout. */
void send_print(const struct reference *ref, const struct descriptor *desc);

/* Copies the image into the layout at `to`, with layers that are missing in the store
 * fetched from the same places, and names it tag there (replacing what had the name). */
int send_to_layout(struct app *app, const char *to, const char *tag,
		   const struct descriptor *desc, const struct reference *origins,
		   size_t norigins, struct error *err);

#endif
