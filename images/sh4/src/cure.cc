/* A plugin for the SuperH GCC that keeps the passes sh_treg_combine2 and sh_treg_combine3 from running.
 *
 * In some releases they delete the test in "load a word, test it against zero, branch". No option of the compiler can
 * name them, hence this. What is lost without them is a few instructions about the T bit. */
#include <string.h>
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "tree-pass.h"

int plugin_is_GPL_compatible;

static const char AT_FAULT[] = "sh_treg_combine";

static void close_gate(void *gate, void *) {
    if (current_pass && current_pass->name && !strncmp(current_pass->name, AT_FAULT, sizeof AT_FAULT - 1))
        *static_cast<bool *>(gate) = false;
}

int plugin_init(struct plugin_name_args *plugin, struct plugin_gcc_version *version) {
    /* A plugin sees the compiler's own structures: it fits exactly one build of it. */
    if (!plugin_default_version_check(version, &gcc_version)) return 1;
    register_callback(plugin->base_name, PLUGIN_OVERRIDE_GATE, close_gate, nullptr);
    return 0;
}
