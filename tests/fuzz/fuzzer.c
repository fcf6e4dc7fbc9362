/* Run one target of targets.py under libFuzzer: the interpreter is plain, the core is instrumented.
 *
 * The environment names the target (EVQ_FUZZ_TARGET); the first exception ends the run as a crash does.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

static PyObject *target;

static void give_up(void) {
    PyErr_Print();
    abort();
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    const char *name = getenv("EVQ_FUZZ_TARGET");
    Py_InitializeEx(0); /* no signal handlers: Ctrl-C is libFuzzer's */
    PyObject *targets = PyImport_ImportModule("tests.fuzz.targets");
    if (targets == NULL || (target = PyObject_GetAttrString(targets, name ? name : "")) == NULL)
        give_up();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    PyObject *done = PyObject_CallFunction(target, "y#", (const char *)data, (Py_ssize_t)size);
    if (done == NULL)
        give_up();
    Py_DECREF(done);
    return 0;
}
