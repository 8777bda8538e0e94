package serve_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain keeps the environment of whoever runs the tests out of them, and
// checks that a proxy that was closed or never came up leaves nothing running.
func TestMain(m *testing.M) {
	for _, name := range []string{"TOLLGATE_ADMIN_KEY", "STRIPE_SECRET_KEY", "STRIPE_SECRET_KEY_FILE", "RESEND_API_KEY", "RESEND_API_KEY_FILE", "TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_FILE", "TWILIO_ACCOUNT_SID"} {
		_ = os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}
