/* eslint-disable */
// Written by relay-client/generate.ts; the document says what things mean.

export interface paths {
    "/api/events/device/{deviceId}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One rollup of all readings of a deviceId in a range */
        get: operations["getDeviceRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/type/{deviceType}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One rollup of all readings of a deviceType in a range */
        get: operations["getTypeRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/zone/{zone}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One rollup of all readings of a zone in a range */
        get: operations["getZoneRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/events/zone/{zone}/type/{deviceType}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One rollup of all readings of a zone and deviceType in a range */
        get: operations["getZoneTypeRollup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/aggregates": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Statistics of a selection over a range
         * @description An answer without `next` is complete. CSV has no cursor: an answer is complete or refused.
         */
        get: operations["getAggregates"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/compare": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Compare a range with the one before it, or with the same weekdays */
        get: operations["compareRanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Dead letters of a range of time, newest first
         * @description The letters of the whole range are read for each page: use a short range on a site with millions of them.
         */
        get: operations["listDeadLetters"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters/{letter}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One dead letter, with its bytes */
        get: operations["getDeadLetter"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/dead-letters/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send dead letters to the events topic again
         * @description With their original key and value, if their senders have the permission. A dry run, the default, only says what would be sent. Events that are sent twice count once.
         */
        post: operations["replayDeadLetters"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** All devices that ever sent a reading, by id */
        get: operations["listDevices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices/{device}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** One device, with every zone and type it sent from */
        get: operations["getDevice"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/devices/{device}/latest": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The newest reading of a device */
        get: operations["getLatestReading"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/distribution": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Histogram of the values of a selection over a range */
        get: operations["getDistribution"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send events
         * @description One event or an array of events as JSON, or one event per line (`application/x-ndjson`); gzip is accepted. An answer is sent when the events in `accepted` are durable; events that are sent again count once. With an `Idempotency-Key` the same body gets the same answer, and is not sent to the event log again.
         */
        post: operations["sendEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List all keys, without their secrets */
        get: operations["listKeys"];
        put?: never;
        /** Create a key */
        post: operations["createKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke a key, everywhere within seconds */
        delete: operations["revokeKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{id}/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Rotate the secret of a key */
        post: operations["rotateKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/operations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Status of the site: lag by partition, gaps, replica and programs
         * @description For administrators without grants: it is about all devices. Two answers give rates: `nextOffset` moves as records are read, `endOffset` as they are sent.
         */
        get: operations["getOperations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Stream the rollups of a selection as they change
         * @description Server-sent events. `rollup`: the current state of a bucket. `changed`: a range in which more has changed than is sent. `reset`: the changes since Last-Event-ID are no longer known. `open`: all changes from now on will be sent. `heartbeat`: no changes. `end`: why the stream ends. A client that comes back with the id of its last event (Last-Event-ID) misses nothing; it may get an event twice.
         */
        get: operations["streamRollups"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/top": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The devices, zones or types with the highest or lowest statistic over a range */
        get: operations["getTop"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Device types, with their number of devices by zone */
        get: operations["listTypes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/zones": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Zones, with their number of devices by type */
        get: operations["listZones"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description and a member for each of `stats`; any percentile, such as `p99.9`, and `p99.9Error` are numbers or null */
        AggregateRow: {
            /** Format: double */
            avg?: number | null;
            /** @description and before this one */
            bucketEnd: string;
            /** @description on the clock of `tz`; readings from this time on */
            bucketStart: string;
            /** Format: int64 */
            count?: number;
            device?: string;
            /** @description no readings */
            filled?: boolean;
            /** Format: double */
            first?: number | null;
            /** @description on the clock of `tz` */
            firstTime?: string | null;
            /** Format: double */
            increase?: number | null;
            /** Format: double */
            last?: number | null;
            /** @description on the clock of `tz` */
            lastTime?: string | null;
            /** Format: double */
            max?: number | null;
            /** Format: double */
            median?: number | null;
            /** Format: double */
            medianError?: number | null;
            /** Format: double */
            min?: number | null;
            /** Format: double */
            rate?: number | null;
            /**
             * @description final: everything up to its end was read; revised: late readings changed it after that
             * @enum {string}
             */
            status: "final" | "provisional" | "revised";
            /** Format: double */
            stddev?: number | null;
            /** Format: double */
            sum?: number | null;
            /** Format: double */
            timeWeightedAvg?: number | null;
            type?: string;
            /** @description for each null statistic, the reason */
            unavailable?: {
                [key: string]: string;
            };
            zone?: string;
        } & {
            [key: string]: unknown;
        };
        Aggregates: {
            /** @description every partition was read up to this event time, or to the end of the range; null: unknown */
            completeThrough: string | null;
            /**
             * Format: int64
             * @description and resends, which are not counted again
             */
            duplicateReadings: number;
            end: string;
            /** @description the interval that was used, for `auto` */
            interval: string;
            /**
             * Format: int64
             * @description late readings of the selection in the hours of the range: their minute was already final when they arrived
             */
            lateReadings: number;
            /** @description where there are more rows: `cursor` of the next answer */
            next: string | null;
            /** @description ordered by group, then by time */
            rows: components["schemas"]["AggregateRow"][];
            /** @description range of all rows, in `tz`; wider than requested only where the stored data is coarser */
            start: string;
            tz: string;
        };
        ApiKey: {
            /** Format: date-time */
            createdAt: string;
            createdBy: string;
            /** @description null: all */
            devicePrefixes: string[] | null;
            /**
             * Format: date-time
             * @description null: never
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description when the secret before the last rotation expires; null: it has expired
             */
            formerSecretUntil: string | null;
            id: string;
            /**
             * Format: date-time
             * @description to the minute; null: never
             */
            lastUsedAt: string | null;
            name: string;
            /**
             * Format: date-time
             * @description null: not revoked
             */
            revokedAt: string | null;
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description null: all */
            zones: string[] | null;
        };
        ApiKeyList: {
            keys: components["schemas"]["ApiKey"][];
        };
        ApiKeyRequest: {
            /** @description prefixes of the device ids that the key may use; absent: all */
            devicePrefixes?: string[];
            /** @description ISO-8601 with an offset; absent: never */
            expiresAt?: string;
            /** @description purpose of the key, for people */
            name: string;
            /** @description scopes of the key */
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description zones that the key may use; absent: all */
            zones?: string[];
        };
        ApiKeyRotation: {
            /**
             * Format: int32
             * @description how long the old secret still works
             * @default 3600
             */
            overlapSeconds?: number;
        };
        ComparedStatistic: {
            /**
             * Format: double
             * @description same for the earlier range
             */
            againstError?: number | null;
            /**
             * Format: double
             * @description value of the earlier range
             */
            againstValue: number | null;
            /**
             * Format: double
             * @description value - againstValue, computed from the values shown
             */
            change: number | null;
            /**
             * Format: double
             * @description for a percentile: the true value is within value ± error; null: no bound
             */
            error?: number | null;
            /**
             * Format: double
             * @description (value - againstValue) / |againstValue|: 0.1 means 10 % more; null if againstValue is 0
             */
            relativeChange: number | null;
            stat: string;
            /**
             * Format: double
             * @description value of the range; null: none
             */
            value: number | null;
        };
        Comparison: {
            against: components["schemas"]["TimeRange"];
            range: components["schemas"]["TimeRange"];
            /** @description in the order of `stats` */
            stats: components["schemas"]["ComparedStatistic"][];
        };
        /** @description the range that was computed; wider than requested only where the stored data is coarser */
        Coverage: {
            /**
             * Format: date-time
             * @description and before this one
             */
            end: string;
            /**
             * Format: date-time
             * @description start of the range that was computed, in UTC
             */
            start: string;
        };
        DeadLetter: {
            /** @description what was found */
            detail: string;
            /** @description device id in the value, or else the key */
            device: string | null;
            /** @description the field at fault, if any */
            field: string | null;
            /** @description the letter holds only the first part of the value */
            isTruncated: boolean;
            /** @description partition and offset of the letter, such as 0:1234 */
            letter: string;
            /** @description who sent what the API refused; null: unknown */
            principal: string | null;
            /** @enum {string} */
            reason: "record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "key-mismatch" | "not-granted" | "batch-corrupt" | "too-complex" | "quota-exceeded";
            /**
             * Format: date-time
             * @description null: it was not replayed
             */
            replayedAt: string | null;
            /**
             * Format: int64
             * @description null: as above
             */
            sourceOffset: number | null;
            /**
             * Format: int64
             * @description null: the API refused it, so it never was in the events topic
             */
            sourcePartition: number | null;
            /** @description where it came from: a topic, or for MQTT its topic */
            sourceTopic: string;
            /**
             * Format: date-time
             * @description when it was refused
             */
            time: string;
            /**
             * Format: int64
             * @description length of the value; null: there is none
             */
            valueBytes: number | null;
        };
        DeadLetterCount: {
            /** Format: int64 */
            count: number;
            /** @enum {string} */
            reason: "record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "key-mismatch" | "not-granted" | "batch-corrupt" | "too-complex" | "quota-exceeded" | "other";
        };
        DeadLetterDetails: {
            /** @description what was found */
            detail: string;
            /** @description device id in the value, or else the key */
            device: string | null;
            /** @description the field at fault, if any */
            field: string | null;
            /** @description the letter holds only the first part of the value */
            isTruncated: boolean;
            /** @description bytes of the key, in base64 */
            key: string | null;
            /** @description partition and offset of the letter, such as 0:1234 */
            letter: string;
            /** @description who sent what the API refused; null: unknown */
            principal: string | null;
            /** @enum {string} */
            reason: "record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "key-mismatch" | "not-granted" | "batch-corrupt" | "too-complex" | "quota-exceeded";
            /**
             * Format: date-time
             * @description null: it was not replayed
             */
            replayedAt: string | null;
            /**
             * Format: int64
             * @description null: as above
             */
            sourceOffset: number | null;
            /**
             * Format: int64
             * @description null: the API refused it, so it never was in the events topic
             */
            sourcePartition: number | null;
            /** @description where it came from: a topic, or for MQTT its topic */
            sourceTopic: string;
            /**
             * Format: date-time
             * @description when it was refused
             */
            time: string;
            /** @description bytes of the value, in base64 */
            value: string | null;
            /**
             * Format: int64
             * @description length of the value; null: there is none
             */
            valueBytes: number | null;
        };
        DeadLetterList: {
            /** Format: date-time */
            end: string;
            letters: components["schemas"]["DeadLetter"][];
            /** @description where there are older letters: `cursor` of the next answer */
            next: string | null;
            /** @description letters of the range that the filters let through, over all pages; the most frequent reason first */
            reasons: components["schemas"]["DeadLetterCount"][];
            /** Format: date-time */
            start: string;
        };
        DeadLetterReplay: {
            /**
             * @description true: also letters that were replayed before
             * @default false
             */
            again?: boolean;
            /**
             * @description true: send nothing
             * @default true
             */
            dryRun?: boolean;
            /** @description which letters */
            letters: string[];
        };
        DeadLetterReplayAnswer: {
            dryRun: boolean;
            /** @description in the order of the request */
            letters: components["schemas"]["ReplayedLetter"][];
            /**
             * Format: int64
             * @description letters that were sent; of a dry run, that would be
             */
            sent: number;
        };
        /** @description zone, type and lastValue are those of the newest reading */
        Device: {
            device: string;
            /**
             * Format: date-time
             * @description time of the first stored reading
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description time of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description value of the newest reading; of several at the same time, the greatest
             */
            lastValue: number;
            type: string;
            zone: string;
        };
        DeviceDetails: {
            device: string;
            /**
             * Format: date-time
             * @description time of the first stored reading
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description time of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description value of the newest reading; of several at the same time, the greatest
             */
            lastValue: number;
            /** @description the one with the newest reading first */
            series: components["schemas"]["Series"][];
            type: string;
            zone: string;
        };
        /** @description other fields are ignored */
        DeviceEvent: {
            deviceId: string;
            /** @description one of the device types configured on this site */
            deviceType: string;
            /**
             * Format: date-time
             * @description with an offset; a number of seconds since the epoch is taken too
             */
            timestamp: string;
            /** Format: double */
            value: number;
            zone: string;
        };
        DeviceList: {
            /** @description ordered by the bytes of their ids */
            devices: components["schemas"]["Device"][];
            /** @description where there are more devices: `cursor` of the next answer */
            next: string | null;
        };
        DeviceType: {
            /**
             * Format: int64
             * @description devices that ever sent from this zone; a device that moved counts in both zones
             */
            devices: number;
            /**
             * Format: date-time
             * @description time of the newest reading
             */
            lastSeen: string;
            type: string;
            /** @description at most 1000 of them */
            zones: string[];
        };
        DeviceTypeList: {
            /** @description where there are more: `cursor` of the next answer */
            next: string | null;
            /** @description ordered by the bytes of their names */
            types: components["schemas"]["DeviceType"][];
        };
        Distribution: {
            /** @description ascending, without gaps; their counts add up to `count` */
            bins: components["schemas"]["DistributionBin"][];
            /** Format: int64 */
            count: number;
            /**
             * Format: date-time
             * @description and before this one
             */
            end: string;
            /** @description true if every count is exact */
            isExact: boolean;
            /** Format: double */
            max: number;
            /** Format: double */
            min: number;
            /**
             * Format: date-time
             * @description start of the range, inclusive
             */
            start: string;
        };
        DistributionBin: {
            /** Format: int64 */
            count: number;
            /**
             * Format: int64
             * @description the true count is within count ± countError
             */
            countError: number;
            /**
             * Format: double
             * @description values from here on
             */
            from: number;
            /**
             * Format: double
             * @description and below this one; in the last bin, up to and including it
             */
            to: number;
        };
        /** @description a Problem; lists the refused events if it concerns events */
        EventsProblem: {
            /**
             * Format: int64
             * @description events now durable in the event log
             */
            accepted?: number;
            /** @enum {string} */
            code: "RELAY_CONFIG_INVALID" | "RELAY_DATABASE_UNREACHABLE" | "RELAY_DATABASE_POOLED" | "RELAY_STATEMENT_TIMEOUT" | "RELAY_MIGRATION_FAILED" | "RELAY_EVENT_LOG_UNREACHABLE" | "RELAY_EVENT_LOG_REFUSED" | "RELAY_RECORD_TOO_LARGE" | "RELAY_EVENT_LOG_UNSUPPORTED" | "RELAY_GROUP_FOREIGN" | "RELAY_GROUP_REFUSED" | "RELAY_TOPIC_MISSING" | "RELAY_OFFSET_GAP" | "RELAY_FLUSH_UNFINISHED" | "RELAY_REPLAY_REFUSED" | "RELAY_DEPLOY_REFUSED" | "RELAY_PARTITION_FENCED" | "RELAY_ROLLUP_CORRUPT" | "RELAY_PORT_IN_USE" | "RELAY_DATA_DIR_IN_USE" | "RELAY_PROGRAM_FAILED" | "RELAY_PARAMETER_MISSING" | "RELAY_PARAMETER_INVALID" | "RELAY_PARAMETER_UNKNOWN" | "RELAY_CURSOR_INVALID" | "RELAY_TOO_MANY_POINTS" | "RELAY_INTERVAL_TOO_FINE" | "RELAY_RANGE_INVALID" | "RELAY_RANGE_TOO_LONG" | "RELAY_DEVICE_TYPE_UNKNOWN" | "RELAY_UNAUTHORIZED" | "RELAY_FORBIDDEN" | "RELAY_RATE_LIMITED" | "RELAY_BUDGET_EXCEEDED" | "RELAY_ISSUER_UNREACHABLE" | "RELAY_API_KEY_UNKNOWN" | "RELAY_NO_DATA" | "RELAY_ROUTE_UNKNOWN" | "RELAY_HOST_UNKNOWN" | "RELAY_METHOD_NOT_ALLOWED" | "RELAY_REQUEST_INVALID" | "RELAY_REQUEST_TOO_SLOW" | "RELAY_HEADERS_TOO_LARGE" | "RELAY_BODY_TOO_LARGE" | "RELAY_BODY_TOO_SLOW" | "RELAY_MEDIA_TYPE_UNKNOWN" | "RELAY_EVENTS_REFUSED" | "RELAY_IDEMPOTENCY_KEY_REUSED" | "RELAY_IDEMPOTENCY_KEY_IN_USE" | "RELAY_INGEST_BUSY" | "RELAY_INGEST_OFF" | "RELAY_STREAM_FULL" | "RELAY_ANSWER_TOO_SLOW" | "RELAY_ANSWERS_BUSY" | "RELAY_CLIENT_GONE" | "RELAY_INTERNAL";
            /** @description what is wrong with this request, and how to fix it */
            detail: string;
            /** @description same as detail */
            error: string;
            /** @description id of the request, as in x-request-id */
            instance: string;
            /** @description the parameter at fault, if any */
            parameter?: string;
            refused?: components["schemas"]["RefusedEvent"][];
            /** Format: int32 */
            status: number;
            title: string;
            /** @description stable URI of the problem type */
            type: string;
        };
        /** @description records that were gone from the event log before they were read */
        Gap: {
            /**
             * Format: int64
             * @description first offset after the gap
             */
            availableOffset: number;
            /**
             * Format: int64
             * @description where reading should have continued
             */
            expectedOffset: number;
            /**
             * Format: date-time
             * @description when a processor met it
             */
            foundAt: string;
            /** @enum {string} */
            kind: "offset-out-of-range" | "topic-recreated" | "records-replaced";
            /** Format: int64 */
            partition: number;
            topic: string;
        };
        IngestAnswer: {
            /**
             * Format: int64
             * @description events now durable in the event log
             */
            accepted: number;
            refused: components["schemas"]["RefusedEvent"][];
        };
        IssuedApiKey: {
            /** Format: date-time */
            createdAt: string;
            createdBy: string;
            /** @description null: all */
            devicePrefixes: string[] | null;
            /**
             * Format: date-time
             * @description null: never
             */
            expiresAt: string | null;
            /**
             * Format: date-time
             * @description when the secret before the last rotation expires; null: it has expired
             */
            formerSecretUntil: string | null;
            id: string;
            /** @description the key; shown only this once */
            key: string;
            /**
             * Format: date-time
             * @description to the minute; null: never
             */
            lastUsedAt: string | null;
            name: string;
            /**
             * Format: date-time
             * @description null: not revoked
             */
            revokedAt: string | null;
            scopes: ("events:read" | "events:write" | "admin")[];
            /** @description null: all */
            zones: string[] | null;
        };
        LatestReading: {
            device: string;
            /**
             * Format: date-time
             * @description of the reading
             */
            timestamp: string;
            type: string;
            /** Format: double */
            value: number;
            zone: string;
        };
        Operations: {
            /**
             * Format: date-time
             * @description of this answer
             */
            asOf: string;
            /**
             * Format: date-time
             * @description answers have all readings up to this event time; null: unknown
             */
            completeThrough: string | null;
            /**
             * Format: int64
             * @description gaps that were ever recorded
             */
            gapCount: number;
            /** @description the newest 100, newest first */
            gaps: components["schemas"]["Gap"][];
            /** @description whether this API reads from a replica */
            hasReplica: boolean;
            /** @description false: this API can't read the event log, or does not know it */
            isEventLogReachable: boolean;
            /** @description ordered by partition */
            partitions: components["schemas"]["PartitionStatus"][];
            /** @description programs that reported themselves in the last hour */
            programs: components["schemas"]["ProgramStatus"][];
            /**
             * Format: double
             * @description how far the replica is behind; null: there is none, or it is unreachable
             */
            replicaLagSeconds: number | null;
            /** @description topic of the events */
            topic: string;
        };
        PartitionStatus: {
            /**
             * Format: int64
             * @description offset that the next record will get; null: the event log is unreachable
             */
            endOffset: number | null;
            /**
             * Format: date-time
             * @description when its progress last moved
             */
            flushedAt: string | null;
            /**
             * Format: int64
             * @description records that are not in the rollups yet; null: unknown
             */
            lagRecords: number | null;
            /**
             * Format: double
             * @description time since the oldest of them was appended; 0: there is none; null: unknown
             */
            lagSeconds: number | null;
            /**
             * Format: date-time
             * @description newest event time in the rollups
             */
            newestEventTime: string | null;
            /**
             * Format: int64
             * @description offset of the next record to read; null: nothing was read
             */
            nextOffset: number | null;
            /** @description instance of the processor that has it; null: none ever had it */
            owner: string | null;
            /** Format: int64 */
            partition: number;
        };
        /** @description RFC 9457; the codes are in docs/errors.md */
        Problem: {
            /** @enum {string} */
            code: "RELAY_CONFIG_INVALID" | "RELAY_DATABASE_UNREACHABLE" | "RELAY_DATABASE_POOLED" | "RELAY_STATEMENT_TIMEOUT" | "RELAY_MIGRATION_FAILED" | "RELAY_EVENT_LOG_UNREACHABLE" | "RELAY_EVENT_LOG_REFUSED" | "RELAY_RECORD_TOO_LARGE" | "RELAY_EVENT_LOG_UNSUPPORTED" | "RELAY_GROUP_FOREIGN" | "RELAY_GROUP_REFUSED" | "RELAY_TOPIC_MISSING" | "RELAY_OFFSET_GAP" | "RELAY_FLUSH_UNFINISHED" | "RELAY_REPLAY_REFUSED" | "RELAY_DEPLOY_REFUSED" | "RELAY_PARTITION_FENCED" | "RELAY_ROLLUP_CORRUPT" | "RELAY_PORT_IN_USE" | "RELAY_DATA_DIR_IN_USE" | "RELAY_PROGRAM_FAILED" | "RELAY_PARAMETER_MISSING" | "RELAY_PARAMETER_INVALID" | "RELAY_PARAMETER_UNKNOWN" | "RELAY_CURSOR_INVALID" | "RELAY_TOO_MANY_POINTS" | "RELAY_INTERVAL_TOO_FINE" | "RELAY_RANGE_INVALID" | "RELAY_RANGE_TOO_LONG" | "RELAY_DEVICE_TYPE_UNKNOWN" | "RELAY_UNAUTHORIZED" | "RELAY_FORBIDDEN" | "RELAY_RATE_LIMITED" | "RELAY_BUDGET_EXCEEDED" | "RELAY_ISSUER_UNREACHABLE" | "RELAY_API_KEY_UNKNOWN" | "RELAY_NO_DATA" | "RELAY_ROUTE_UNKNOWN" | "RELAY_HOST_UNKNOWN" | "RELAY_METHOD_NOT_ALLOWED" | "RELAY_REQUEST_INVALID" | "RELAY_REQUEST_TOO_SLOW" | "RELAY_HEADERS_TOO_LARGE" | "RELAY_BODY_TOO_LARGE" | "RELAY_BODY_TOO_SLOW" | "RELAY_MEDIA_TYPE_UNKNOWN" | "RELAY_EVENTS_REFUSED" | "RELAY_IDEMPOTENCY_KEY_REUSED" | "RELAY_IDEMPOTENCY_KEY_IN_USE" | "RELAY_INGEST_BUSY" | "RELAY_INGEST_OFF" | "RELAY_STREAM_FULL" | "RELAY_ANSWER_TOO_SLOW" | "RELAY_ANSWERS_BUSY" | "RELAY_CLIENT_GONE" | "RELAY_INTERNAL";
            /** @description what is wrong with this request, and how to fix it */
            detail: string;
            /** @description same as detail */
            error: string;
            /** @description id of the request, as in x-request-id */
            instance: string;
            /** @description the parameter at fault, if any */
            parameter?: string;
            /** Format: int32 */
            status: number;
            title: string;
            /** @description stable URI of the problem type */
            type: string;
        };
        ProgramStatus: {
            /**
             * Format: double
             * @description of a processor: average time to write a flush, since the report before; null: no flush
             */
            flushSeconds: number | null;
            /**
             * Format: double
             * @description of a processor: average time from the append of a reading to the commit of its rollups; null: no reading
             */
            freshnessSeconds: number | null;
            /** @description host or configured name, and process id */
            instance: string;
            /** @description whether it reported itself lately */
            isUp: boolean;
            /** @description relay-processor or relay-api */
            program: string;
            /**
             * Format: double
             * @description of a processor: readings counted per second, since the report before
             */
            readingsPerSecond: number | null;
            /**
             * Format: date-time
             * @description when it last reported itself; it does every 10 s
             */
            seenAt: string;
            /**
             * Format: date-time
             * @description when it started
             */
            startedAt: string;
            version: string;
        };
        RangeRollup: {
            /** Format: double */
            avgValue: number;
            /** Format: int64 */
            count: number;
            coverage: components["schemas"]["Coverage"];
            deviceId: string | null;
            deviceType: string | null;
            /** Format: double */
            maxValue: number;
            /**
             * Format: double
             * @description in the unit of the value: the true median is within medianValue ± medianError; 0: exact; null: no double can bound it
             */
            medianError: number | null;
            /**
             * Format: double
             * @description for an even number of readings, the mean of the two middle values
             */
            medianValue: number;
            /** Format: double */
            minValue: number;
            /** @description endTime as sent by the client */
            timeWindowEnd: string;
            /** @description startTime as sent by the client */
            timeWindowStart: string;
            zone: string | null;
        };
        RankedRow: {
            /**
             * Format: int64
             * @description readings
             */
            count: number;
            device?: string;
            /**
             * Format: double
             * @description for a percentile: the true value is within value ± error; null: no double can bound it
             */
            error?: number | null;
            type?: string;
            /** Format: double */
            value: number;
            zone?: string;
        };
        Ranking: {
            /** Format: date-time */
            end: string;
            /** @description in rank order; ties by the bytes of their names */
            rows: components["schemas"]["RankedRow"][];
            /**
             * Format: date-time
             * @description of the range; wider than requested only where the stored data is coarser
             */
            start: string;
            stat: string;
            /**
             * Format: int64
             * @description how many have readings in the range, but not this statistic
             */
            unranked: number;
        };
        RefusedEvent: {
            detail: string;
            /** @description the field at fault, if any */
            field?: string;
            /**
             * Format: int64
             * @description index of the event in the body, from 0; blank lines do not count
             */
            index: number;
            /** @enum {string} */
            reason: "record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "too-complex" | "quota-exceeded" | "not-granted";
        };
        ReplayedLetter: {
            /** @description why it was not sent, in words */
            detail: string | null;
            letter: string;
            /**
             * @description ready: a dry run would send it; sent: it was sent; any other: why it was not
             * @enum {string}
             */
            outcome: "ready" | "sent" | "unknown" | "replayed-before" | "corrupt" | "truncated" | "not-granted";
        };
        RollupMessage: {
            /** Format: double */
            avg: number;
            /** Format: date-time */
            bucketEnd: string;
            /** Format: date-time */
            bucketStart: string;
            /** Format: int64 */
            count: number;
            /** @description where the stream is grouped by devices */
            device?: string;
            /**
             * Format: double
             * @description the newest reading
             */
            last: number;
            /** Format: date-time */
            lastTime: string;
            /** Format: double */
            max: number;
            /** Format: double */
            median: number;
            /**
             * Format: double
             * @description the true median is within median ± medianError; null: no double can bound it
             */
            medianError: number | null;
            /** Format: double */
            min: number;
            /**
             * Format: double
             * @description null: beyond the range of doubles
             */
            sum: number | null;
            /** @description where it is grouped by types */
            type?: string;
            /** @description where it is grouped by zones */
            zone?: string;
        };
        Series: {
            /**
             * Format: date-time
             * @description time of the first stored reading
             */
            firstSeen: string;
            /**
             * Format: date-time
             * @description time of the newest reading
             */
            lastSeen: string;
            /**
             * Format: double
             * @description value of the newest reading; of several at the same time, the greatest
             */
            lastValue: number;
            type: string;
            zone: string;
        };
        /** @description wider than requested only where the stored data is coarser */
        TimeRange: {
            /** Format: date-time */
            end: string;
            /** Format: date-time */
            start: string;
        };
        Zone: {
            /**
             * Format: int64
             * @description devices that ever sent from this zone; a device that moved counts in both zones
             */
            devices: number;
            /**
             * Format: date-time
             * @description time of the newest reading
             */
            lastSeen: string;
            types: string[];
            zone: string;
        };
        ZoneList: {
            /** @description where there are more: `cursor` of the next answer */
            next: string | null;
            /** @description ordered by the bytes of their names */
            zones: components["schemas"]["Zone"][];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getDeviceRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; end of the range, exclusive */
                endTime: string;
                /** @description ISO-8601 with any offset; start of the range, inclusive */
                startTime: string;
            };
            header?: never;
            path: {
                deviceId: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTypeRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; end of the range, exclusive */
                endTime: string;
                /** @description ISO-8601 with any offset; start of the range, inclusive */
                startTime: string;
            };
            header?: never;
            path: {
                deviceType: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getZoneRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; end of the range, exclusive */
                endTime: string;
                /** @description ISO-8601 with any offset; start of the range, inclusive */
                startTime: string;
            };
            header?: never;
            path: {
                zone: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getZoneTypeRollup: {
        parameters: {
            query: {
                /** @description ISO-8601 with any offset; end of the range, exclusive */
                endTime: string;
                /** @description ISO-8601 with any offset; start of the range, inclusive */
                startTime: string;
            };
            header?: never;
            path: {
                deviceType: string;
                zone: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RangeRollup"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getAggregates: {
        parameters: {
            query?: {
                /** @description `next` of the previous page; keep all other parameters unchanged */
                cursor?: string;
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description end of the range, exclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description rows without readings: left out (`none`), null, or filled, from the previous row (`previous`, may be before `start`) or by linear interpolation (`linear`). Filled rows say so in `filled` */
                fill?: "none" | "null" | "previous" | "linear";
                /** @description format of the rows; default: chosen by the Accept header, else json */
                format?: "json" | "csv" | "ndjson";
                /** @description separate rows per device, zone or type; default: one row for the whole selection */
                groupBy?: "device" | "zone" | "type";
                /** @description length of each row, on the clock of `tz`: minutes and hours that divide a day (`5m`, `1h`, `6h`), days (`1d`), weeks from Monday (`1w`), months that divide a year (`1mo`, `3mo`), years (`1y`), `range` (one row), or `auto`: the shortest that gives at most `maxPoints` rows */
                interval?: string;
                /** @description most rows; if there are more, `next` is the cursor of the next page */
                limit?: number;
                /** @description longest gap between two readings that still counts: `30s`, `15m`, `1h`, at most `1d` */
                maxGap?: string;
                /** @description most rows per group, for `auto` */
                maxPoints?: number;
                /** @description order by time, within a group */
                order?: "asc" | "desc";
                /** @description start of the range, inclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description statistics, separated by commas: count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 (any percentile: p99.9). Each percentile has an error: the true value is within ± error; 0: exact. `increase` (a falling value counts as a counter reset to 0), `rate` (increase per second) and `timeWeightedAvg` are computed from the readings stored in minutes; a gap longer than `maxGap` between two readings is left out */
                stats?: string;
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description IANA time zone that defines days and hours, such as `Europe/Berlin` */
                tz?: string;
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description rows */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Aggregates"];
                };
            };
            /** @description the answer matches If-None-Match */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    compareRanges: {
        parameters: {
            query?: {
                /** @description previous: the range that ends where this one starts; weekday: the same times on the same weekdays on the clock of `tz`, as few weeks earlier as possible without overlap */
                against?: "previous" | "weekday";
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description end of the range, exclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description start of the range, inclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description statistics, separated by commas: count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 (any percentile: p99.9). Each percentile has an error: the true value is within ± error; 0: exact. `increase` (a falling value counts as a counter reset to 0), `rate` (increase per second) and `timeWeightedAvg` are computed from the readings stored in minutes; a gap longer than `maxGap` between two readings is left out */
                stats?: string;
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description IANA time zone that defines the weekdays, such as `Europe/Berlin` */
                tz?: string;
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Comparison"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listDeadLetters: {
        parameters: {
            query?: {
                /** @description `next` of the previous page, to continue after it */
                cursor?: string;
                device?: string;
                /** @description end of the range, exclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description most letters in the answer */
                limit?: number;
                /** @description only this reason; may be repeated */
                reason?: ("record-empty" | "oversized" | "not-utf8" | "not-json" | "not-object" | "field-duplicate" | "field-missing" | "field-type" | "id-invalid" | "device-type-unknown" | "value-not-finite" | "timestamp-invalid" | "timestamp-before-epoch" | "timestamp-future" | "too-old" | "key-mismatch" | "not-granted" | "batch-corrupt" | "too-complex" | "quota-exceeded")[];
                /** @description start of the range, inclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                start?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDeadLetter: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description partition and offset of a letter, such as 0:1234 */
                letter: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterDetails"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    replayDeadLetters: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeadLetterReplay"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeadLetterReplayAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listDevices: {
        parameters: {
            query?: {
                /** @description `next` of the previous page, to continue after it */
                cursor?: string;
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description most items in the answer */
                limit?: number;
                /** @description only devices whose id starts with this */
                prefix?: string;
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDevice: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                device: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceDetails"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getLatestReading: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                device: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LatestReading"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getDistribution: {
        parameters: {
            query?: {
                /** @description number of bins; fewer are returned if the values are too close */
                bins?: number;
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description end of the range, exclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description linear: bins of equal width; log: bins of equal ratio, plus one for values that are not positive */
                scale?: "linear" | "log";
                /** @description start of the range, inclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Distribution"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sendEvents: {
        parameters: {
            query?: never;
            header?: {
                /** @description any text that is unique per body of this caller */
                "idempotency-key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeviceEvent"][];
            };
        };
        responses: {
            /** @description All events were accepted */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestAnswer"];
                };
            };
            /** @description Some events were accepted; `refused` lists the others */
            207: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IngestAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Request Timeout */
            408: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Payload Too Large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unsupported Media Type */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No event was accepted, or the Idempotency-Key was used with another body */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["EventsProblem"];
                };
            };
            /** @description A limit of the caller is used up; for a quota of new series, zones or partitions, `refused` lists the events */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["EventsProblem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ApiKeyList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ApiKeyRequest"];
            };
        };
        responses: {
            /** @description Default Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedApiKey"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revokeKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description id of the key */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["ApiKeyRotation"];
            };
        };
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedApiKey"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getOperations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Operations"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    streamRollups: {
        parameters: {
            query?: {
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description one rollup per device, zone or type; default: one for the whole selection */
                groupBy?: "device" | "zone" | "type";
                /** @description length of the buckets; days are UTC days */
                interval?: "1m" | "1h" | "1d";
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: {
                /** @description the id as received */
                "last-event-id"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The data of `rollup`; other events have little or no data */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["RollupMessage"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTop: {
        parameters: {
            query?: {
                /** @description only this device; may be repeated */
                device?: string[];
                /** @description end of the range, exclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                end?: string;
                /** @description what is ranked */
                groupBy?: "device" | "zone" | "type";
                /** @description how many to return */
                limit?: number;
                /** @description desc: highest first; asc: lowest first */
                order?: "desc" | "asc";
                /** @description start of the range, inclusive: ISO-8601 with an offset, or relative to now: `now`, `-24h`, `now-7d` */
                start?: string;
                /** @description statistic to rank by, one of count, sum, avg, min, max, median, stddev, first, last, increase, rate, timeWeightedAvg, p0 … p100 */
                stat?: string;
                /** @description only this device type; may be repeated */
                type?: string[];
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Ranking"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listTypes: {
        parameters: {
            query?: {
                /** @description `next` of the previous page, to continue after it */
                cursor?: string;
                /** @description most items in the answer */
                limit?: number;
                /** @description only this zone; may be repeated */
                zone?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeviceTypeList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listZones: {
        parameters: {
            query?: {
                /** @description `next` of the previous page, to continue after it */
                cursor?: string;
                /** @description most items in the answer */
                limit?: number;
                /** @description only this device type; may be repeated */
                type?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Default Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ZoneList"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Internal Server Error */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Service Unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
