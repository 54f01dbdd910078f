// tests/api/test_no_device.c -- what works, and what is said, on a machine without any Vulkan device.
//
// A program of its own: which drivers there are is decided when Vulkan is first asked.
#include <stdlib.h>

#include "karat.h"
#include "test.h"

#ifdef _WIN32
#include <windows.h>

// Wine passes Vulkan on to the system around it, which has read its environment long before.
static bool drivers_stay_visible(void)
{
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;
}

static void set_variable(const char *name, const char *value)
{
    _putenv_s(name, value);
}
#else
static bool drivers_stay_visible(void)
{
    return false;
}

static void set_variable(const char *name, const char *value)
{
    setenv(name, value, 1);
}
#endif

#define SKIP_WITH_DRIVERS()                                         \
    do {                                                            \
        if (drivers_stay_visible())                                 \
            SKIP("Wine's Vulkan devices cannot be hidden from it"); \
    } while (0)

// Before any test, and before any thread.
__attribute__((constructor)) static void hide_drivers(void)
{
    set_variable("VK_DRIVER_FILES", "/nowhere/driver.json");
    set_variable("VK_ICD_FILENAMES", "/nowhere/driver.json");
    set_variable("VK_LOADER_DRIVERS_DISABLE", "*");
    set_variable("VK_LOADER_DRIVERS_SELECT", "");
}

TEST(a_model_needs_a_device)
{
    SKIP_WITH_DRIVERS();
    struct karat_error err = { 0 };
    struct karat_model *model = (struct karat_model *)&err;
    for (int i = 0; i < 2; ++i) { // it fails again as it failed before
        CHECK_UINT(karat_model_open(&model, NULL, NULL, &err), KARAT_ERR_NO_DEVICE);
        CHECK_UINT(err.status, KARAT_ERR_NO_DEVICE);
        test_check(t, strstr(err.text, "Vulkan") != NULL, __FILE__, __LINE__, "the sentence is \"%s\"", err.text);
        CHECK(model == NULL);
        CHECK_UINT(karat_model_open(&model, NULL, &(struct karat_model_options){ .device = "0" }, NULL),
                   KARAT_ERR_NO_DEVICE);
    }
}

TEST(a_vocabulary_needs_none)
{
    struct karat_error err = { 0 };
    struct karat_model *model = NULL;
    uint32_t *ids = NULL;
    size_t n = 0;
    REQUIRE_OK(karat_model_open(&model, NULL, &(struct karat_model_options){ .vocabulary_only = true }, &err), err);
    REQUIRE_OK(karat_tokenize(model, "Hello!", 6, 0, &ids, &n, &err), err);
    CHECK_UINT(n, 2);
    karat_free(ids);
    karat_model_close(model);
}

TEST(a_file_is_described_with_the_reason)
{
    SKIP_WITH_DRIVERS();
    struct karat_error err = { 0 };
    char *text = NULL;
    REQUIRE_OK(karat_file_info(&text, NULL, NULL, 0, &err), err);
    CHECK(strstr(text, "\"runs\":true") && strstr(text, "\"no_device\":") && !strstr(text, "\"memory\":"));
    karat_free(text);
}

TEST(the_list_of_devices_is_empty_or_says_why)
{
    SKIP_WITH_DRIVERS();
    struct karat_error err = { 0 };
    char *text = NULL;
    const enum karat_status status = karat_devices(&text, &err);
    CHECK(status == KARAT_OK ? text && strcmp(text, "[]") == 0 : status == KARAT_ERR_NO_DEVICE && !text);
    karat_free(text);
}

TEST(the_self_test_needs_a_device)
{
    SKIP_WITH_DRIVERS();
    struct karat_error err = { 0 };
    uint32_t n_failed = 7;
    CHECK_UINT(karat_selftest(NULL, NULL, NULL, &n_failed, &err), KARAT_ERR_NO_DEVICE);
    CHECK_UINT(n_failed, 0);
}
