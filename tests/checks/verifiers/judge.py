"""Judges recorded deliveries with the published verifiers for Python."""

import json
import sys

import standardwebhooks
import stripe
import svix.webhooks

VERIFIERS = {
    "standard": {
        "standardwebhooks": lambda case: standardwebhooks.Webhook(case["secret"]).verify(case["body"], case["headers"]),
        "svix": lambda case: svix.webhooks.Webhook(case["secret"]).verify(case["body"], case["headers"]),
    },
    # GitHub publishes no library for Python.
    "github": {},
    "stripe": {
        "stripe": lambda case: stripe.WebhookSignature.verify_header(
            case["body"], case["headers"]["stripe-signature"], case["secret"], tolerance=300
        ),
    },
}
REFUSALS = (
    standardwebhooks.WebhookVerificationError,
    stripe.SignatureVerificationError,
    svix.webhooks.WebhookVerificationError,
)


def accepts(verify, case):
    try:
        verify(case)
        return True
    except REFUSALS:
        return False


def main():
    cases = [json.loads(line) for line in sys.stdin]
    judged = wrong = 0
    for case in cases:
        # The verifier wants lowercase names, as most frameworks give them.
        case["headers"] = {name.lower(): value for name, value in case["headers"].items()}
        for name, verify in VERIFIERS[case["verifier"]].items():
            judged += 1
            if accepts(verify, case) != case["is_valid"]:
                wrong += 1
                print(f"Python's {name} {'refuses' if case['is_valid'] else 'accepts'} {case['name']}")
    print(f"Python: {judged} verdicts about {len(cases)} cases")
    sys.exit(wrong > 0 or judged == 0)


main()
