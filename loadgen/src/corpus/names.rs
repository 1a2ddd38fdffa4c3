//! Words that names, paths and attributes are made of.

/// Services in the order in which they call: a service calls only those behind it.
pub(super) const SERVICES: [&str; 40] = [
    "frontend-web",
    "mobile-bff",
    "api-gateway",
    "admin-portal",
    "partner-api",
    "checkout",
    "cart",
    "product-catalog",
    "search",
    "recommendation",
    "user-profile",
    "auth",
    "session",
    "order",
    "payment",
    "pricing",
    "promotion",
    "inventory",
    "shipping",
    "tax",
    "currency",
    "notification",
    "email",
    "sms-gateway",
    "fraud-detection",
    "ledger",
    "invoice",
    "warehouse",
    "delivery-tracking",
    "review",
    "wishlist",
    "loyalty",
    "media",
    "image-resizer",
    "geo",
    "feature-flags",
    "configuration",
    "audit",
    "analytics-ingest",
    "report-builder",
];

/// What each service keeps; the n-th belongs to the n-th service.
pub(super) const NOUNS: [&str; 40] = [
    "page",
    "screen",
    "route",
    "setting",
    "partner",
    "checkout",
    "cart",
    "product",
    "query",
    "suggestion",
    "profile",
    "token",
    "session",
    "order",
    "payment",
    "price",
    "coupon",
    "stock",
    "shipment",
    "rate",
    "exchange",
    "notification",
    "message",
    "text",
    "score",
    "entry",
    "invoice",
    "bin",
    "parcel",
    "review",
    "wish",
    "reward",
    "asset",
    "image",
    "place",
    "flag",
    "config",
    "record",
    "event",
    "report",
];

/// Of one service: how its SDK calls its language, with the SDK's version.
pub(super) const LANGUAGES: [(&str, &str); 5] = [
    ("java", "1.57.0"),
    ("go", "1.40.0"),
    ("nodejs", "2.5.0"),
    ("python", "1.39.1"),
    ("dotnet", "1.14.0"),
];

pub(super) const NAMESPACES: [&str; 4] = ["storefront", "commerce", "fulfilment", "platform"];

pub(super) const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

/// Templates of what comes behind `/api/v2/NOUNs`, with the method.
pub(super) const ROUTES: [(&str, &str); 8] = [
    ("GET", "/{id}"),
    ("GET", ""),
    ("POST", ""),
    ("PUT", "/{id}"),
    ("GET", "/{id}/history"),
    ("DELETE", "/{id}"),
    ("POST", "/{id}/confirm"),
    ("PATCH", "/{id}/status"),
];

/// Methods of gRPC services.
pub(super) const METHODS: [&str; 6] = ["Get", "List", "Create", "Update", "BatchGet", "Validate"];

pub(super) const USER_AGENTS: [&str; 14] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "ShopApp/7.41.2 (iOS 18.6; iPhone16,2) CFNetwork/1498.700.2 Darwin/23.6.0",
    "ShopApp/7.41.0 (Android 15; Pixel 9)",
    "okhttp/4.12.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "python-requests/2.32.5",
    "Go-http-client/2.0",
    "axios/1.13.2",
    "curl/8.16.0",
];

/// How services call each other: the user agent that an instance of each language sends.
pub(super) const CLIENT_AGENTS: [&str; 5] = [
    "Apache-HttpClient/5.5.1 (Java/21.0.9)",
    "Go-http-client/1.1",
    "undici",
    "python-requests/2.32.5",
    "dotnet/9.0",
];

/// Columns of the tables that services keep.
pub(super) const COLUMNS: [&str; 10] = [
    "id",
    "tenant_id",
    "status",
    "created_at",
    "updated_at",
    "amount",
    "currency",
    "user_id",
    "name",
    "payload",
];

pub(super) const CLIENT_ERRORS: [(u16, &str); 4] = [
    (404, "Not Found"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (409, "Conflict"),
];

pub(super) const SERVER_ERRORS: [(u16, &str); 4] = [
    (500, "Internal Server Error"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (502, "Bad Gateway"),
];
