// tests/server/test_gate.c -- who may ask the server, header by header.
#include "server/gate.h"

#include "test.h"

TEST(only_names_of_this_machine_are_loopback)
{
    static const struct {
        const char *host;
        bool loopback;
    } cases[] = {
        { "localhost", true },
        { "LocalHost:8080", true },
        { "karat.localhost:1", true },
        { "127.0.0.1", true },
        { "127.0.0.1:65535", true },
        { "127.255.0.3", true },
        { "::1", true },
        { "[::1]", true },
        { "[::1]:8080", true },
        { "", false },
        { ":8080", false },
        { ".localhost", false },
        { "localhost.", false },
        { "localhost.evil.example", false },
        { "evillocalhost", false },
        { "127.0.0.1.evil.example", false },
        { "127.evil.example.1", false },
        { "127.1", false },
        { "128.0.0.1", false },
        { "0.0.0.0", false },
        { "[::1", false },
        { "[::1]evil", false },
        { "[]", false },
        { "::2", false },
        { "localhost:", false },
        { "localhost:80x", false },
        { "localhost@evil.example", false },
        { "192.168.1.7:8080", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        t->row = cases[i].host;
        CHECK_UINT(gate_is_loopback(cases[i].host), cases[i].loopback);
        // What listens on loopback is meant by nothing else; what others can reach has names we cannot know.
        CHECK_UINT(gate_host_allowed(cases[i].host, "127.0.0.1"), cases[i].loopback);
    }
    t->row = NULL;
    CHECK(!gate_host_allowed(NULL, "127.0.0.1"));
    CHECK(!gate_host_allowed(NULL, "0.0.0.0"));
    CHECK(gate_host_allowed("my-pc.lan:8080", "0.0.0.0"));
}

TEST(only_pages_of_this_machine_and_our_own_may_ask)
{
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        { NULL, true },
        { "http://localhost:3000", true },
        { "https://127.0.0.1", true },
        { "http://[::1]:5173", true },
        { "http://my-pc.lan:8080", true },
        { "http://my-pc.lan:8081", false },
        { "https://evil.example", false },
        { "http://localhost.evil.example", false },
        { "null", false },
        { "", false },
        { "file://", false },
        { "httpx://localhost", false },
        { "chrome-extension://localhost", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        t->row = cases[i].origin;
        CHECK_UINT(gate_origin_allowed(cases[i].origin, "my-pc.lan:8080"), cases[i].allowed);
    }
    t->row = NULL;
}

TEST(a_key_is_taken_from_either_header_and_must_be_the_whole_one)
{
    CHECK(gate_key_matches("Bearer secret", NULL, "secret"));
    CHECK(gate_key_matches("bearer secret", NULL, "secret"));
    CHECK(gate_key_matches(NULL, "secret", "secret"));
    CHECK(gate_key_matches("Basic abc", "secret", "secret"));
    CHECK(!gate_key_matches(NULL, NULL, "secret"));
    CHECK(!gate_key_matches("Bearer ", NULL, "secret"));
    CHECK(!gate_key_matches("Bearer", NULL, "secret"));
    CHECK(!gate_key_matches("secret", NULL, "secret"));
    CHECK(!gate_key_matches("Bearer secre", NULL, "secret"));
    CHECK(!gate_key_matches("Bearer secrets", NULL, "secret"));
    CHECK(!gate_key_matches(NULL, "secretsecret", "secret"));
    CHECK(!gate_key_matches(NULL, "Secret", "secret"));
    CHECK(!gate_key_matches(NULL, "", "secret"));
}
