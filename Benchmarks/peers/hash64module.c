/* The hash of record values for the Python programs: `hash64.sums(values)` gives count, bytes and sum of hashes of a list
   of bytes objects, so that what they are measured by costs them next to nothing. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "hash64.h"

static PyObject *sums(PyObject *module, PyObject *values) {
  (void)module;
  PyObject *list = PySequence_Fast(values, "sums takes a sequence of bytes");
  if (list == NULL) return NULL;
  Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  unsigned long long bytes = 0, hash = 0;
  for (Py_ssize_t index = 0; index < count; index++) {
    PyObject *value = PySequence_Fast_GET_ITEM(list, index);
    if (!PyBytes_Check(value)) {
      Py_DECREF(list);
      PyErr_SetString(PyExc_TypeError, "sums takes a sequence of bytes");
      return NULL;
    }
    bytes += (unsigned long long)PyBytes_GET_SIZE(value);
    hash += hash64((const uint8_t *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
  }
  Py_DECREF(list);
  return Py_BuildValue("nKK", count, bytes, hash);
}

static PyMethodDef methods[] = {
    {"sums", sums, METH_O, "Count, bytes and sum of hashes of a sequence of bytes."}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "hash64", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit_hash64(void) { return PyModule_Create(&definition); }
